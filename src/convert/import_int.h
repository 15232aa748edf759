/* What the importer's files share. */
#ifndef HEARTH_CONVERT_IMPORT_INT_H
#define HEARTH_CONVERT_IMPORT_INT_H

#include <stdio.h>

#include "base/sha256.h"
#include "convert/hf_model.h"
#include "convert/import.h"

enum import_way {
    IMPORT_COPY,   /* the source's bytes, row by row */
    IMPORT_ENCODE, /* floats, encoded */
    IMPORT_PACK,   /* pack_row */
    IMPORT_MXFP4,  /* pack_mxfp4_row */
    IMPORT_VALUES, /* floats that the plan holds */
};

struct import_tensor {
    struct gguf_str name; /* owned, NUL-terminated; first: index */
    uint32_t type, n_dims;
    uint64_t ne[4];
    enum import_way way;
    struct hf_view *parts; /* [n_parts], experts in order; all of the same shape */
    size_t n_parts, cap_parts;
    const float *values;
    uint64_t rows, part_rows, cols; /* rows of all parts, of one */
    uint64_t row_bytes;
    uint64_t chunk_rows; /* rows that are read, encoded and written together */
    size_t class;        /* in the report */
    bool measured;
    double max_error, sum_error2, sum2; /* of the rows done */
};

struct import_plan {
    struct import_tensor *v; /* in the order of the file */
    size_t n, cap;
    uint32_t file_type; /* general.file_type */
};

/* Maps every weight by the architecture's rules, and chooses types. ERR_UNSUPPORTED for a weight
 * that no rule knows, ERR_FORMAT for missing or doubled ones. */
enum status import_plan_make(struct hf_model *m, struct hf_sources *s,
                             const struct import_options *o, struct import_plan *out,
                             struct import_report *report, struct error *err);
void import_plan_fini(struct import_plan *p);
/* import_types.c: the second half of the above, once every tensor's parts are known. */
enum status import_plan_types(struct hf_model *m, const struct import_options *o,
                              struct import_plan *p, struct error *err);

/* Which tensors an interrupted import has written, line by line: their number, digest and errors.
 */
struct import_journal {
    char *path; /* owned */
    FILE *file;
};
struct import_done {
    bool done;
    char digest[SHA256_HEX_SIZE];
    double max_error, sum_error2, sum2;
};
/* Reads what a journal of the same import (`identity`) says into done[n], and opens it to go on;
 * anything else begins anew. */
enum status import_journal_open(struct import_journal *j, const char *path, const char *identity,
                                bool resumed, struct import_done *done, size_t n,
                                struct error *err);
enum status import_journal_add(struct import_journal *j, size_t i, const char *digest,
                               const struct import_tensor *t, struct error *err);
void import_journal_close(struct import_journal *j);

/* import_rows.c: one chunk of a tensor's rows. */
struct import_buffers {
    float *floats, *decoded; /* [cols] */
    int16_t *numbers;        /* [cols] */
    uint8_t *bytes;          /* [chunk_rows * row_bytes] */
};
struct import_errors {
    double max_error, sum_error2, sum2;
};
enum status import_buffers_init(struct import_buffers *b, const struct import_plan *p,
                                struct error *err);
void import_buffers_fini(struct import_buffers *b);
/* Rows row .. row + n - 1 into b->bytes. */
enum status import_rows(const struct import_tensor *t, uint64_t row, uint64_t n,
                        struct import_buffers *b, struct import_errors *e, struct error *err);

#endif
