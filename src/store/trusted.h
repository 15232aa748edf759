/* Signatures kept with the models of a store, and what the trust policy says of each.
 *
 *   trust.json            the policy, see trust/policy.h and docs/trust.md
 *   signatures/HEX.json   signatures of the file with that SHA-256, each checked when it was taken
 * in
 *
 * What a signature covers is a digest, and so is a blob's name: that a model is signed is checked
 * anew, by its keys and digests, each time its name is turned into a file to load; its bytes are
 * hashed when they come and by store_verify. Threads: as of store.h. */
#ifndef HEARTH_STORE_TRUSTED_H
#define HEARTH_STORE_TRUSTED_H

#include "store/store.h"
#include "trust/policy.h"
#include "trust/signature.h"

/* Path of the policy; *out is malloc'd. */
enum status store_policy_path(const struct store *s, char **out, struct error *err);
/* No file: a policy that allows everything. */
enum status store_policy_read(const struct store *s, struct policy *out, struct error *err);

/* What the policy says of a model. */
struct store_trust {
    enum policy_action outcome;    /* allow: signed as wanted, or nothing is wanted */
    bool is_signed;                /* by a key that may sign this name */
    char signer[POLICY_NAME_SIZE]; /* the key's name in the policy */
    char key[96];                  /* the key in words */
    struct signature_said said;
    char words[512]; /* all of it for people */
};
/* A policy or record that cannot be read is an error, on which the model must not be used. */
enum status store_trust_of(const struct store *s, const char *name, const char *sha256,
                           struct store_trust *out, struct error *err);

/* The file to load for an installed model: the one way from a name to a file whose contents are
 * used. Says in a notice where the policy warns. ERR_NOT_FOUND: not installed; ERR_INTEGRITY:
 * damaged, or refused by the policy, and what to do. *path is malloc'd. */
enum status store_load_path(const struct store *s, const char *name, const struct store_events *ev,
                            char **path, struct error *err);
/* Where the policy wants it ("hash_at_load"), hashes a file that store_load_path gave; once for
 * each time it is opened. ERR_INTEGRITY: it changed. */
enum status store_load_hash(const struct store *s, const char *path, const struct store_events *ev,
                            struct error *err);
/* As store_load_path, for a model given by a path: only the policy's word on such. */
enum status store_load_file(const struct store *s, const char *path, const struct store_events *ev,
                            struct error *err);

/* Checks a signature against an installed model with a key and keeps it. The file's bytes are read
 * where the signature is minisign's. ERR_INTEGRITY: it is another key's, another file's, or
 * changed. */
enum status store_signature_keep(const struct store *s, const char *name, const char *text,
                                 size_t len, const char *what, const struct trust_key *k,
                                 const struct store_events *ev, struct signature_said *said,
                                 struct error *err);
/* Signs an installed model and keeps the signature; `text` gets it. */
enum status store_signature_make(const struct store *s, const char *name, const struct trust_key *k,
                                 const char *comment, const struct store_events *ev,
                                 struct buf *text, struct error *err);

/* Each kept signature with the key it names, in their order; false from visit ends it. */
enum status store_signatures_each(const struct store *s, const char *sha256,
                                  bool (*visit)(void *ctx, const struct signature *sig,
                                                const uint8_t *blake2b),
                                  void *ctx, struct error *err);

#endif
