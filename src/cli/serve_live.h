/* What `hearth serve` is told, and what it reads anew at a SIGHUP: options, keys, TLS. */
#ifndef HEARTH_CLI_SERVE_LIVE_H
#define HEARTH_CLI_SERVE_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "cli/cli.h"
#include "net/keys.h"
#include "net/tls.h"

struct serve_options {
    const char *host, *model, *kv_type, *keep_alive, *key_file, *make_key, *config, *log, *tls_cert,
        *tls_key, *tls_client_ca, *slots, *store;
    int64_t port, ctx, threads, kv_mb, max_running, max_waiting, max_models, max_tokens,
        max_connections, max_body_mb, grace;
    double max_seconds;
    struct string_list hosts, origins, projects;
    bool allow_pull, public_metrics, preload, no_speculate, no_sandbox;
};

struct serve_live {
    struct serve_options o; /* the command line's, the environment's, the file's */
    struct buf text;        /* owns the file's strings */
    char *key_path;         /* owned */
    struct keys keys;
    struct tls *tls; /* owned; NULL: plain HTTP */
    bool quiet;      /* no log */
};

/* Reads everything that `given`, the command line's options of `cmd`, names. `home` is Hearth's
 * folder. ERR_INVALID where anyone on the network could use the server. *out is complete or NULL.
 * With --make-key nothing but the options is read. */
enum status serve_live_load(const struct command *cmd, const struct serve_options *given,
                            const char *home, struct serve_live **out, struct error *err);
void serve_live_free(struct serve_live *l); /* NULL is fine */

/* The name of an option that differs and takes a restart, or NULL. Starts at *i, which it moves
 * on; begin with 0. */
const char *serve_live_next_change(const struct command *cmd, const struct serve_live *old,
                                   const struct serve_live *new, size_t *i);

#endif
