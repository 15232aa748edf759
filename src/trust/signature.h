/* A signature file of either kind, and what it is held against: files as they lie on the disk, or
 * the digests of a model in the store. */
#ifndef HEARTH_TRUST_SIGNATURE_H
#define HEARTH_TRUST_SIGNATURE_H

#include "trust/bundle.h"
#include "trust/minisign.h"

struct signature {
    enum trust_scheme scheme;
    union {
        struct bundle bundle;     /* TRUST_MODEL_SIGNING */
        struct minisign minisign; /* TRUST_MINISIGN */
    };
};
/* The text of a signature file, told apart by its beginning; `what` names it in errors. */
enum status signature_parse(const char *text, size_t len, const char *what, struct signature *out,
                            struct error *err);
/* Reads and parses; `text` (initialised by the caller, or NULL) gets the file's text. */
enum status signature_read(const char *path, struct buf *text, struct signature *out,
                           struct error *err);
void signature_fini(struct signature *s);
/* The id of the key that the signature names, which proves nothing; "" = it names none. */
const char *signature_key_id(const struct signature *s);

/* What a good signature said. */
struct signature_said {
    char name[256]; /* the model's name in the signer's words, or minisign's trusted comment */
    size_t files;   /* that the signature covers */
};

struct signature_options {
    const char *own_path; /* of the signature file, which is left out where it lies in the folder;
                             or NULL */
    bool follow_links;    /* the user allows them; the signature must as well */
    bool (*progress)(void *ctx, uint64_t done); /* as in struct filetree_options */
    void *ctx;
};
/* A file or a folder: all of its files and no others have to be what the key's owner signed.
 * ERR_INTEGRITY. */
enum status signature_check_path(const struct signature *s, const struct trust_key *k,
                                 const char *path, const char *what,
                                 const struct signature_options *opt, struct signature_said *out,
                                 struct error *err);

/* A single file known by its digests: the signature covers it, alone or as one of several files.
 * blake2b: NULL = not known, which only minisign's signatures need; they have to be prehashed.
 * ERR_INTEGRITY, ERR_UNSUPPORTED. */
enum status signature_check_digest(const struct signature *s, const struct trust_key *k,
                                   const uint8_t sha256[SHA256_BYTES], const uint8_t *blake2b,
                                   const char *what, struct signature_said *out, struct error *err);

struct signature_plan {
    const char *path; /* file or folder */
    const char *const
        *ignore; /* paths in the folder that are not signed, besides Git's own files */
    size_t n_ignore;
    const char *comment; /* minisign's trusted comment; NULL = time and file name */
    struct signature_options opt;
};
/* Appends the signature file's text. */
enum status signature_make(const struct trust_key *k, const struct signature_plan *plan,
                           struct buf *out, struct error *err);
/* The same for a single file known by its digests and called `name`. */
enum status signature_make_digest(const struct trust_key *k, const char *name,
                                  const uint8_t sha256[SHA256_BYTES], const uint8_t *blake2b,
                                  const char *comment, struct buf *out, struct error *err);

#endif
