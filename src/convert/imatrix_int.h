/* What the importance matrices' two files share. */
#ifndef HEARTH_CONVERT_IMATRIX_INT_H
#define HEARTH_CONVERT_IMATRIX_INT_H

#include "convert/imatrix.h"
#include "gguf/gguf.h"

struct imatrix {
    struct imatrix_entry *entries; /* sorted by name once it is read */
    size_t n, cap;
    uint64_t n_chunks;
    char *dataset; /* owned, or NULL */
};

/* Adds an entry with room for `n` values and returns it; NULL with err set where it cannot be. */
struct imatrix_entry *imatrix_add(struct imatrix *im, const char *path, const char *name,
                                  size_t len, uint64_t columns, uint64_t n, struct error *err);

/* Fill an empty matrix from either format; `path` is for messages. The caller frees it on failure
 * as on success. */
enum status imatrix_from_gguf(const struct gguf *g, struct imatrix *im, struct error *err);
enum status imatrix_from_dat(const uint8_t *data, uint64_t size, const char *path,
                             struct imatrix *im, struct error *err);

/* Sorts the entries; ERR_FORMAT for a name that occurs twice, or values that are no mean squares.
 */
enum status imatrix_finish(struct imatrix *im, const char *path, struct error *err);

#endif
