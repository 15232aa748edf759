/* Where models come from. A source type is one file that exports one descriptor, and one line in
 * source.c; catalogue entries name it by "type". Inside of module store. */
#ifndef HEARTH_STORE_SOURCE_H
#define HEARTH_STORE_SOURCE_H

#include <jansson.h>

#include "base/status.h"
#include "store/store.h"

struct partial;

/* What one attempt to fetch works with. */
struct fetch {
    const struct store *store;
    const struct store_events *events;
    const char *digest;   /* SHA-256 the file must have */
    struct partial *part; /* receives the bytes; may hold a beginning already */
    bool digest_given;    /* known from the catalogue or the user, not from the source itself */
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
};

extern const struct source_type source_hub, source_url, source_packages, source_file;

const struct source_type *source_type_find(const char *name); /* NULL where unknown */

#endif
