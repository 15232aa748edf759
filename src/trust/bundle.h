/* Signatures of OpenSSF model signing v1.0 with keys: a Sigstore bundle v0.3 in JSON, in it a DSSE
 * envelope with an in-toto statement of the model's files.
 *
 * Sources: https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md (the signed bytes),
 * sigstore/protobuf-specs (the bundle), and the PyPI package model-signing 1.1.1, with which this
 * agrees both ways. Keyless signatures and certificates are told apart and refused
 * (ERR_UNSUPPORTED). */
#ifndef HEARTH_TRUST_BUNDLE_H
#define HEARTH_TRUST_BUNDLE_H

#include "base/buf.h"
#include "trust/filetree.h"
#include "trust/key.h"

enum { BUNDLE_MAX_BYTES = 32 << 20, BUNDLE_MAX_IGNORE = 1024 };

/* What a signature says, whoever made it. Nothing in it is to be believed before bundle_open. */
struct bundle {
    char hint[TRUST_KEY_ID_SIZE]; /* id of the key it names; "" = none */
    struct buf payload, sig;
};
/* ERR_FORMAT for anything that is not exactly such a bundle: fields it must not have count, too. */
enum status bundle_parse(const char *text, size_t len, const char *what, struct bundle *out,
                         struct error *err);
void bundle_fini(struct bundle *b);

/* What was signed. */
struct bundle_claim {
    char *name;           /* owned; of the model, in the signer's words */
    struct filetree tree; /* at least one file; valid names, each once */
    bool follow_links;
    char **ignore; /* owned; valid names, never "." */
    size_t n_ignore;
};
/* Checks the signature, then reads what it covers. ERR_INTEGRITY: another key, or changed;
 * ERR_FORMAT, ERR_UNSUPPORTED, ERR_LIMIT: a good signature of something that Hearth cannot hold a
 * model to. */
enum status bundle_open(const struct bundle *b, const struct trust_key *k, const char *what,
                        struct bundle_claim *out, struct error *err);
void bundle_claim_fini(struct bundle_claim *c);

/* Appends the signature file's text. */
enum status bundle_write(const struct bundle_claim *c, const struct trust_key *k, struct buf *out,
                         struct error *err);

#endif
