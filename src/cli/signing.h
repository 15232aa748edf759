/* What the commands about signatures share: keys as people name them, and a display that can be
 * interrupted. */
#ifndef HEARTH_CLI_SIGNING_H
#define HEARTH_CLI_SIGNING_H

#include <signal.h>

#include "cli/cli.h"
#include "store/trusted.h"

/* A public key: a file (PEM or minisign's), the name of a key of the policy, or minisign's line of
 * base64. */
enum status signing_public_key(const struct policy *p, const char *named, struct trust_key *out,
                               struct error *err);
/* A secret key's file. Its password is the first line of `password_file`, or asked for at the
 * terminal where the key is encrypted and password_file is NULL. */
enum status signing_secret_key(const char *path, const char *password_file, struct trust_key *out,
                               struct error *err);

/* Whether an argument is a path and no model's name. */
bool signing_is_path(const char *arg);

struct signing_screen {
    struct progress *bar;
    bool quiet;
    sigset_t interrupts, before;
};
/* From begin to end, an interrupt makes the progress functions return false. */
void signing_begin(struct signing_screen *sc, bool quiet);
void signing_end(struct signing_screen *sc);
bool signing_progress(void *screen, uint64_t done);
struct store_events signing_events(struct signing_screen *sc);

#endif
