/* Rows of a matrix that is to be written, in terms of the weight it comes from.
 *
 * A view is n matrices of rows x cols, each element being an element of the source's row-major
 * array: base + matrix * sn + row * sr + col * sc. What files of the two kinds do differently
 * (halves of fused matrices, transposed experts, RoPE's order of rows) are changes of those
 * numbers, so nothing is moved before the row is read. A vector is a matrix with a single column.
 */
#ifndef HEARTH_CONVERT_HF_VIEW_H
#define HEARTH_CONVERT_HF_VIEW_H

#include "convert/hf_source.h"

struct hf_view {
    const struct hf_source *src;
    uint32_t n_dims; /* of what is written: 1 to 3 */
    uint64_t n, rows, cols;
    uint64_t base, sn, sr, sc;
    uint64_t head; /* rows of a head whose halves are to be interleaved; 0: rows stay in order */
    float add;     /* to every element */
};

/* The whole weight. ERR_UNSUPPORTED for types that are no numbers, ERR_FORMAT for weights without
 * elements or with more than three dimensions. */
enum status hf_view_init(struct hf_view *v, const struct hf_source *src, struct error *err);

/* Row 0 .. n * rows - 1 as cols floats. `scratch`: cols numbers, used for packed sources. */
void hf_view_row(const struct hf_view *v, uint64_t row, float *dst, int16_t *scratch);
/* The source's element that a row begins with. */
uint64_t hf_view_place(const struct hf_view *v, uint64_t row);
/* The source's row that a row is, for views whose rows are whole rows of a packed source. */
uint64_t hf_view_packed_row(const struct hf_view *v, uint64_t row);
/* True where they are. */
bool hf_view_is_packed_rows(const struct hf_view *v);

struct hf_model;

/* Changes of a view that several architectures need. They report ERR_FORMAT where the shape does
 * not allow for them. */
typedef enum status hf_fix(const struct hf_model *m, struct hf_view *v, struct error *err);
hf_fix hf_fix_rope_q, hf_fix_rope_k;          /* HF's halves of a head to llama.cpp's pairs */
hf_fix hf_fix_plus_one;                       /* norms stored as their difference from one */
hf_fix hf_fix_first_half, hf_fix_second_half; /* of the rows */
hf_fix hf_fix_even_rows, hf_fix_odd_rows;
hf_fix hf_fix_even_cols, hf_fix_odd_cols;
hf_fix hf_fix_transpose, hf_fix_transpose_first_half, hf_fix_transpose_second_half;

#endif
