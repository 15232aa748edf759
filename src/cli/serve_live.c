#include "cli/serve_live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/serve_config.h"
#include "net/origin.h"

static char *path_of(const char *named, const char *home, const char *name)
{
    char *path = NULL;
    if (named) return strdup(named);
    return asprintf(&path, "%s/%s", home, name) < 0 ? NULL : path;
}

static enum status read_options(const struct command *cmd, const char *home, struct serve_live *l,
                                struct error *err)
{
    char *path = path_of(l->o.config, home, "serve.conf");
    if (!path) return error_set(err, ERR_NOMEM, "out of memory");
    bool has_file = l->o.config || file_exists(path);
    enum status st = serve_config_apply(cmd, has_file ? path : NULL, &l->o, &l->text, err);
    free(path);
    if (st != OK) return st;
    l->key_path = path_of(l->o.key_file, home, "keys");
    if (!l->key_path) return error_set(err, ERR_NOMEM, "out of memory");
    if (l->o.log && strcmp(l->o.log, "json") != 0 && strcmp(l->o.log, "none") != 0)
        return error_set(err, ERR_INVALID, "--log is json or none, not %.80s", l->o.log);
    l->quiet = l->o.log && strcmp(l->o.log, "none") == 0;
    return OK;
}

static enum status read_keys(struct serve_live *l, struct error *err)
{
    enum status st = OK;
    const char *clear = getenv("HEARTH_API_KEY");
    if (clear && *clear) st = keys_add(&l->keys, "environment", clear, err);
    if (st == OK && (l->o.key_file || file_exists(l->key_path)))
        st = keys_load(&l->keys, l->key_path, err);
    return st;
}

static enum status read_tls(struct serve_live *l, struct error *err)
{
    const struct serve_options *o = &l->o;
    if (!o->tls_cert != !o->tls_key)
        return error_set(err, ERR_INVALID, "--tls-cert and --tls-key belong together");
    if (o->tls_client_ca && !o->tls_cert)
        return error_set(err, ERR_INVALID, "--tls-client-ca needs --tls-cert and --tls-key");
    return o->tls_cert ? tls_load(o->tls_cert, o->tls_key, o->tls_client_ca, &l->tls, err) : OK;
}

/* Who else than this machine's users may ask has to show a key or a certificate. */
static enum status check_exposure(const struct serve_live *l, struct error *err)
{
    const char *host = l->o.host ? l->o.host : "127.0.0.1";
    if (origin_is_loopback(host) || l->keys.n || l->o.tls_client_ca) return OK;
    return error_set(err, ERR_INVALID,
                     "listening on %s would let anyone on the network use this server; make a key "
                     "first: hearth serve --make-key NAME",
                     host);
}

enum status serve_live_load(const struct command *cmd, const struct serve_options *given,
                            const char *home, struct serve_live **out, struct error *err)
{
    *out = NULL;
    struct serve_live *l = calloc(1, sizeof *l);
    if (!l) return error_set(err, ERR_NOMEM, "out of memory");
    l->o = *given;
    buf_init(&l->text, 1 << 20);
    enum status st = read_options(cmd, home, l, err);
    if (!l->o.make_key) {
        if (st == OK) st = read_keys(l, err);
        if (st == OK) st = read_tls(l, err);
        if (st == OK) st = check_exposure(l, err);
    }
    if (st == OK)
        *out = l;
    else
        serve_live_free(l);
    return st;
}

void serve_live_free(struct serve_live *l)
{
    if (!l) return;
    keys_fini(&l->keys);
    tls_free(l->tls);
    buf_fini(&l->text);
    free(l->key_path);
    free(l);
}

/* ---- what a reload cannot change --------------------------------------------------------------
 */

static bool is_live(const char *name)
{
    static const char *const live[] = {
        "keys",        "allow-host", "origin",   "allow-pull", "public-metrics", "max-tokens",
        "max-seconds", "log",        "tls-cert", "tls-key",    "tls-client-ca",  "grace"};
    for (size_t i = 0; i < sizeof live / sizeof *live; i++)
        if (strcmp(live[i], name) == 0) return true;
    return false;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same(const struct option *o, const void *a, const void *b)
{
    const char *x = (const char *)a + o->offset, *y = (const char *)b + o->offset;
    switch (o->kind) {
    case OPTION_STRING:
        return same_text(*(const char *const *)x, *(const char *const *)y);
    case OPTION_FLAG:
        return *(const bool *)x == *(const bool *)y;
    case OPTION_INT:
        return *(const int64_t *)x == *(const int64_t *)y;
    case OPTION_FLOAT:
        return *(const double *)x == *(const double *)y;
    case OPTION_LIST:
        break;
    }
    return true; /* all lists are live */
}

const char *serve_live_next_change(const struct command *cmd, const struct serve_live *old,
                                   const struct serve_live *new, size_t *i)
{
    for (; cmd->options[*i].name; (*i)++) {
        const struct option *o = &cmd->options[*i];
        bool tls_switch = strcmp(o->name, "tls-cert") == 0 && !old->o.tls_cert != !new->o.tls_cert;
        if (tls_switch || (!is_live(o->name) && !same(o, &old->o, &new->o))) {
            (*i)++;
            return o->name;
        }
    }
    return NULL;
}
