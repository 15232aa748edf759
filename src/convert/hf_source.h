/* The weights of a Hugging Face folder as matrices of numbers, whatever stores them: one tensor, or
 * a few that belong together (GPTQ, AWQ, FP8 with its scales, MXFP4). */
#ifndef HEARTH_CONVERT_HF_SOURCE_H
#define HEARTH_CONVERT_HF_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "convert/hf_config.h"
#include "gguf/safetensors.h"

enum hf_kind { HF_PLAIN, HF_FP8, HF_GPTQ, HF_AWQ, HF_MXFP4 };

/* A matrix of whole numbers with a scale per group of columns and row: w = scale * (q - zero).
 * In the files of both packers the matrix lies transposed: in = columns, out = rows here. */
struct hf_packed {
    uint32_t bits;
    uint64_t in, out, groups;
    uint32_t group_size; /* columns; `in` where one group holds all */
    bool plus_one;       /* GPTQ's first format stores zero - 1 */
    bool acts;           /* columns belong to groups in no order (desc_act) */
    uint32_t *group;     /* [in], owned */
};

struct hf_source {
    struct gguf_str
        name; /* as transformers calls the weight; NUL-terminated, owned; first: index */
    enum hf_kind kind;
    uint32_t n_dims;                      /* of the weight */
    uint64_t shape[SAFETENSORS_MAX_DIMS]; /* slowest first */
    const struct safetensor *data, *scales, *zeros;
    uint64_t block[2]; /* FP8: rows and columns that share a scale */
    struct hf_packed packed;
    bool used;
};

struct hf_sources {
    struct safetensors *files; /* borrowed */
    struct hf_source *v;
    size_t n;
    const struct gguf_str **by_name;
};

/* Finds what belongs together, by names and types, and checks that its shapes do. The config tells
 * which of the formats with the same names it is. ERR_UNSUPPORTED for other quantization methods.
 */
enum status hf_sources_build(struct safetensors *files, const struct hf_config *c,
                             const json_t *quantize, struct hf_sources *out, struct error *err);
void hf_sources_fini(struct hf_sources *s);
const struct hf_source *hf_sources_find(const struct hf_sources *s, const char *name); /* or NULL */

/* Tells the kernel that the pages are not needed any more. */
void hf_source_release_pages(const struct hf_sources *s, const struct hf_source *src);

/* "GPTQ, 4 bits, groups of 128"; returns dst. */
const char *hf_source_describe(const struct hf_source *s, char *dst, size_t cap);

/* Elements `at`, `at + step`, ... of the row-major weight as floats, n of them; exact but for F64,
 * which is rounded. The caller stays inside. Not for GPTQ and AWQ. */
void hf_source_read(const struct hf_source *s, uint64_t at, uint64_t step, uint64_t n, float *dst);

/* Row `row` of a GPTQ or AWQ matrix: q - zero of each column. */
void hf_packed_row(const struct hf_source *s, uint64_t row, int16_t *dst);
/* The same of one column. */
int hf_packed_at(const struct hf_source *s, uint64_t row, uint64_t col);
/* The scale of a row's group, as the file has it. */
float hf_packed_scale(const struct hf_source *s, uint64_t row, uint64_t group);
/* The zero point of a row's group. */
int hf_packed_zero(const struct hf_source *s, uint64_t row, uint64_t group);
/* The smallest and largest zero point of all rows and groups. */
void hf_packed_zeros(const struct hf_source *s, int *min, int *max);

/* The two packers: fill `packed` and the shape of a source whose tensors are set; g_idx may be
 * NULL. `group_size` is the config's, 0 where it tells none. gptq.c, awq.c. */
enum status gptq_attach(struct hf_source *s, const struct safetensor *g_idx, uint64_t group_size,
                        bool plus_one, const char *path, struct error *err);
enum status awq_attach(struct hf_source *s, uint64_t group_size, const char *path,
                       struct error *err);
void gptq_row(const struct hf_source *s, uint64_t row, int16_t *dst);
void awq_row(const struct hf_source *s, uint64_t row, int16_t *dst);
int gptq_at(const struct hf_source *s, uint64_t row, uint64_t col);
int awq_at(const struct hf_source *s, uint64_t row, uint64_t col);
int gptq_zero(const struct hf_source *s, uint64_t group, uint64_t row);
int awq_zero(const struct hf_source *s, uint64_t group, uint64_t row);

#endif
