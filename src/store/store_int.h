/* Paths, locks and manifests of the store. Inside of module store. */
#ifndef HEARTH_STORE_STORE_INT_H
#define HEARTH_STORE_STORE_INT_H

#include "store/catalogue_int.h"
#include "store/store.h"

struct store {
    char *root; /* absolute */
    struct catalogue *catalogue;
};

enum store_place {
    STORE_BLOBS, /* folders: no key */
    STORE_MANIFESTS,
    STORE_PARTIALS,
    STORE_CHAINS,
    STORE_IMPORTS,
    STORE_CATALOGUE,
    STORE_POLICY,
    STORE_LOCK_COMMIT,
    STORE_BLOB, /* key: a digest */
    STORE_PARTIAL,
    STORE_PARTIAL_NOTE, /* what the partial file is, as JSON */
    STORE_WORK,         /* folder for a source's temporary files */
    STORE_REPAIR,       /* copy of a blob that is being mended */
    STORE_SIGNATURES,   /* of a blob, see signature_file.h */
    STORE_CHAIN,        /* states of a blob's hash, see chain_file.h */
    STORE_LOCK_DIGEST,
    STORE_MANIFEST, /* key: a full name */
    STORE_PIN,
    STORE_LOCK_NAME,
    STORE_IMPORT,
    STORE_UPLOADS, /* folder */
    STORE_UPLOAD,  /* key: a digest */
    STORE_UPLOAD_PART, /* a template for mkostemp */
};

/* The only function that builds paths inside the store: the key is checked to be exactly a digest
 * or a full name first. *out is malloc'd. */
enum status store_path(const struct store *s, enum store_place place, const char *key, char **out,
                       struct error *err);

/* mkdir -p of the folder that holds `path`. */
enum status store_make_parent(const char *path, struct error *err);

/* Replaces a JSON file durably, its folder included. */
enum status store_json_write(const char *path, const json_t *json, struct error *err);

/* An advisory lock that dies with its process. fd -1 = not held. */
struct store_lock {
    int fd;
};
/* Waits for the lock, telling the user once who holds it. `what` names the thing in that notice. */
enum status store_lock_take(const struct store *s, enum store_place place, const char *key,
                            const char *what, const struct store_events *ev, struct store_lock *out,
                            struct error *err);
/* ERR_BUSY instead of waiting. */
enum status store_lock_try(const struct store *s, enum store_place place, const char *key,
                           struct store_lock *out, struct error *err);
void store_lock_drop(struct store_lock *lock);

/* Events, NULL-safe. False = stop. */
bool store_progress(const struct store_events *ev, enum store_phase phase, uint64_t done,
                    uint64_t total);
void store_notice(const struct store_events *ev, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Appends `fd`'s first `len` bytes (UINT64_MAX: all) to a running hash. */
struct sha256_chain;
enum status store_hash_fd(int fd, uint64_t len, const char *path, struct sha256_chain *hash,
                          const struct store_events *ev, uint64_t *hashed, struct error *err);
/* Hashes a whole file. ERR_INTEGRITY unless its digest is the one named. */
enum status store_check_file(const char *path, const char *digest, const struct store_events *ev,
                             struct error *err);

/* ERR_IO with advice unless `need` more bytes fit on the disk that holds the store. */
enum status store_need_space(const struct store *s, uint64_t need, struct error *err);

/* What a manifest records, given to manifest_write; strings are borrowed. */
struct manifest {
    const char *name, *sha256, *source, *digest_from;
    uint64_t bytes;
    json_t *model;  /* the catalogue entry; borrowed */
    json_t *origin; /* the source's description as in a catalogue, or NULL; borrowed */
    const json_t *settings; /* what goes with the name, see settings.h, or NULL; borrowed */
};
/* The programs that have to do with a pull, and their versions; NULL = no memory. */
json_t *provenance_stamp(void);
enum status manifest_write(const struct store *s, const struct manifest *m, struct error *err);

/* Adds to a catalogue entry what the file tells: title, architecture, parameters, quantization,
 * context, fim. What it does not tell stays absent. */
struct gguf;
void facts_add(const struct gguf *g, json_t *entry);

/* True where a manifest names the digest, or where one cannot be read and so might. */
bool manifest_digest_used(const struct store *s, const char *digest);

/* Deletes a model file that no manifest names and no pull works on. Under the commit lock.
 * `own_lock`: the caller itself holds the digest's lock. */
enum status blob_release(const struct store *s, const char *digest, bool own_lock, uint64_t *freed,
                         struct error *err);

/* The digest pinned for a name: ERR_NOT_FOUND where there is none. */
enum status pin_read(const struct store *s, const char *name, char digest[65], struct error *err);
enum status pin_write(const struct store *s, const char *name, const char *digest,
                      const char *source, struct error *err);

/* Deletes a folder and what is in it, without following links. */
void store_remove_tree(const char *path);

/* Deletes what killed processes left: work folders and temporary files that nobody owns any more.
 */
void store_sweep(const struct store *s);

#endif
