/* Where models come from. A source type is one file that exports one descriptor, and one line in
 * source.c; catalogue entries name it by "type". Inside of module store. */
#ifndef HEARTH_STORE_SOURCE_H
#define HEARTH_STORE_SOURCE_H

#include <jansson.h>

#include "base/status.h"
#include "store/store.h"

struct partial;
struct byte_range; /* verify.h */

/* What one attempt to fetch works with. */
struct fetch {
    const struct store *store;
    const struct store_events *events;
    const char *digest;   /* SHA-256 the file must have */
    struct partial *part; /* receives the bytes; may hold a beginning already */
    bool digest_given;    /* known from the catalogue or the user, not from the source itself */
};

/* Parts of a file that are to be fetched again, and where they go. */
struct mend {
    const struct store *store;
    const struct store_events *events;
    const char *digest; /* SHA-256 of the whole file */
    bool digest_given;  /* as in struct fetch */
    uint64_t bytes;     /* of the whole file */
    const struct byte_range *ranges; /* apart from each other, in order */
    size_t n;
    int fd;             /* of the copy that is mended; `path` names it in errors */
    const char *path;
    uint64_t fetched;   /* bytes that came so far; the sources add to it */
};

/* What a source says about a file before it is fetched. */
struct source_facts {
    char digest[65]; /* "" where the source publishes none */
    uint64_t bytes;  /* 0 where it does not say */
    bool computed;   /* the digest is that of the user's own file, not a publisher's word */
};

struct source_type {
    const char *name; /* the "type" in the catalogue */
    /* Whether the fields hold what the type needs; `digest` may be NULL. Run for every entry when a
     * catalogue is read, so that the other functions may rely on them. */
    enum status (*check)(const json_t *spec, const char *digest, struct error *err);
    /* A few words for messages: "hub huggingface.co (ORG/REPO)". */
    void (*describe)(const json_t *spec, char *dst, size_t cap);
    /* Asks for digest and size. NULL where the type cannot tell. */
    enum status (*probe)(const json_t *spec, const struct store *store,
                         const struct store_events *events, struct source_facts *out,
                         struct error *err);
    /* Appends what is missing to f->part. ERR_NETWORK, ERR_NOT_FOUND, ERR_UNSUPPORTED and
     * ERR_INTEGRITY let the next source be tried; any other failure ends the pull. */
    enum status (*fetch)(const json_t *spec, struct fetch *f, struct error *err);
    /* Writes the ranges at their places in m->fd, and brings no more than it must for that. The caller
     * checks the whole afterwards. Errors as of fetch; NULL where the type cannot. */
    enum status (*mend)(const json_t *spec, struct mend *m, struct error *err);
    /* A URL of this type's own scheme taken apart into its fields (a new reference): *out NULL where
     * the URL is another type's. `name` gets the model's name, to be made a valid one, "" where it
     * has none. NULL where the type has no URLs. */
    enum status (*from_url)(const char *url, json_t **out, char name[STORE_NAME_SIZE],
                            struct error *err);
};

extern const struct source_type source_hub, source_url, source_packages, source_file,
    source_hf, source_ollama, source_oci, source_store;

const struct source_type *source_type_find(const char *name); /* NULL where unknown */

/* The source that a URL names, by the types' schemes; *out is NULL where none knows it. */
enum status source_from_url(const char *url, json_t **out, char name[STORE_NAME_SIZE],
                            struct error *err);

#endif
