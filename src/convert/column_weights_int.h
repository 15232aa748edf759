/* What the importance matrices' two files share. */
#ifndef HEARTH_CONVERT_COLUMN_WEIGHTS_INT_H
#define HEARTH_CONVERT_COLUMN_WEIGHTS_INT_H

#include "convert/column_weights.h"
#include "gguf/gguf.h"

struct column_weights {
    struct column_weight *entries; /* sorted by name once it is read */
    size_t n, cap;
    uint64_t n_chunks;
    char *dataset; /* owned, or NULL */
};

/* Adds an entry with room for `n` values and returns it; NULL with err set where it cannot be. */
struct column_weight *column_weights_add(struct column_weights *im, const char *path, const char *name,
                                  size_t len, uint64_t columns, uint64_t n, struct error *err);

/* Fill an empty matrix from either format; `path` is for messages. The caller frees it on failure
 * as on success. */
enum status column_weights_from_gguf(const struct gguf *g, struct column_weights *im, struct error *err);
enum status column_weights_from_dat(const uint8_t *data, uint64_t size, const char *path,
                             struct column_weights *im, struct error *err);

/* Sorts the entries; ERR_FORMAT for a name that occurs twice, or values that are no mean squares.
 */
enum status column_weights_finish(struct column_weights *im, const char *path, struct error *err);

#endif
