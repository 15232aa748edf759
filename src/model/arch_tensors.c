/* Tensors that a model takes: found, their shapes checked, vectors decoded. */
#include <stdarg.h>
#include <stdio.h>

#include "base/checked.h"
#include "model/arch.h"

#define MAX_NAME 96

static const struct gguf_tensor *take(struct arch_builder *b, const char *name)
{
    const struct gguf_tensor *t = gguf_tensor_find(b->g, name);
    if (t) b->used[t - gguf_tensor_at(b->g, 0)] = true;
    return t;
}

/* "896 x 64" */
static const char *shape_text(const uint64_t *ne, uint32_t n_dims, char dst[96])
{
    size_t at = 0;
    dst[0] = 0;
    for (uint32_t i = 0; i < n_dims && i < 4; i++)
        at += (size_t)snprintf(dst + at, 96 - at, "%s%llu", i ? " x " : "",
                               (unsigned long long)ne[i]);
    return dst;
}

/* Whether t has this shape and a known type, its bytes all there. */
static bool check_tensor(struct arch_builder *b, const char *name, const struct gguf_tensor *t,
                         const uint64_t ne[3], const struct quant_traits **type)
{
    uint64_t blocks, bytes;
    uint32_t n_dims = ne[2] > 1 ? 3 : ne[1] > 1 ? 2 : 1;
    char expected[96], found[96];
    if (!t) {
        arch_fail(b, ERR_FORMAT, "tensor %s is missing", name);
        return false;
    }
    if (t->ne[0] != ne[0] || t->ne[1] != ne[1] || t->ne[2] != ne[2] || t->ne[3] != 1) {
        arch_fail(b, ERR_FORMAT, "tensor %s is %s, expected %s", name,
                  shape_text(t->ne, t->n_dims, found), shape_text(ne, n_dims, expected));
        return false;
    }
    *type = quant_find(t->type);
    if (!*type) {
        arch_fail(b, ERR_UNSUPPORTED, "tensor %s has type %u, which is not supported", name,
                  t->type);
        return false;
    }
    if (ne[0] % (*type)->block_elems ||
        !checked_mul(ne[0] / (*type)->block_elems, (*type)->block_bytes, &blocks) ||
        !checked_mul(blocks, ne[1], &bytes) || !checked_mul(bytes, ne[2], &bytes) ||
        bytes != t->size) {
        arch_fail(b, ERR_FORMAT, "tensor %s has %llu bytes, which %s of %s do not take", name,
                  (unsigned long long)t->size, shape_text(ne, n_dims > 2 ? 3 : 2, expected),
                  (*type)->name);
        return false;
    }
    return true;
}

/* What a matrix is of its tensor. */
struct extent {
    uint64_t rows, cols;
    uint64_t row0, total; /* its first row, and the rows of the tensor */
    uint32_t n_parts, n_read;
};

static void set_matrix(struct arch_builder *b, struct weight *w, const struct extent *x,
                       const char *name)
{
    const struct quant_traits *type;
    const struct gguf_tensor *t = take(b, name);
    if (!check_tensor(b, name, t, (const uint64_t[]){x->cols, x->total, x->n_parts}, &type)) return;
    if (!kern_type_supported(type)) {
        arch_fail(b, ERR_UNSUPPORTED,
                  "tensor %s has type %s, which there are no kernels for; use another quantization",
                  name, type->name);
        return;
    }
    *w = (struct weight){.mat = {.type = type, .n_rows = x->rows, .n_cols = x->cols},
                         .src = t,
                         .src_row = x->row0,
                         .src_rows = x->total,
                         .n_parts = x->n_parts,
                         .n_read = x->n_read};
}

static void set_vectors(struct arch_builder *b, const float **v, uint64_t n, uint64_t count,
                        const char *name)
{
    const struct quant_traits *type;
    const struct gguf_tensor *t = take(b, name);
    if (!check_tensor(b, name, t, (const uint64_t[]){n, count, 1}, &type)) return;
    n *= count;
    float *own = model_alloc(b->m, n * sizeof *own);
    if (!own) {
        arch_fail(b, ERR_NOMEM, "out of memory");
        return;
    }
    type->decode(t->data, own, n / type->block_elems);
    *v = own;
}

static void set_vector(struct arch_builder *b, const float **v, uint64_t n, const char *name)
{
    set_vectors(b, v, n, 1, name);
}

/* False where building has failed already. */
__attribute__((format(printf, 3, 0))) static bool
make_name(struct arch_builder *b, char dst[MAX_NAME], const char *fmt, va_list ap)
{
    if (b->st) return false;
    vsnprintf(dst, MAX_NAME, fmt, ap);
    return true;
}

/* The name that a helper's last arguments make, in `name`; the statement runs where building goes
 * on. */
#define WITH_NAME(statement)                                                                       \
    do {                                                                                           \
        char name[MAX_NAME];                                                                       \
        va_list ap;                                                                                \
        va_start(ap, name_fmt);                                                                    \
        if (make_name(b, name, name_fmt, ap)) statement;                                           \
        va_end(ap);                                                                                \
    } while (0)

bool arch_has(const struct arch_builder *b, const char *name_fmt, ...)
{
    char name[MAX_NAME];
    va_list ap;
    va_start(ap, name_fmt);
    vsnprintf(name, sizeof name, name_fmt, ap);
    va_end(ap);
    return gguf_tensor_find(b->g, name) != NULL;
}

void arch_matrix(struct arch_builder *b, struct weight *w, uint64_t rows, uint64_t cols,
                 const char *name_fmt, ...)
{
    struct extent x = {rows, cols, 0, rows, 1, 1};
    WITH_NAME(set_matrix(b, w, &x, name));
}

void arch_slice(struct arch_builder *b, struct weight *w, uint64_t row0, uint64_t rows,
                uint64_t total, uint64_t cols, const char *name_fmt, ...)
{
    struct extent x = {rows, cols, row0, total, 1, 1};
    WITH_NAME(set_matrix(b, w, &x, name));
}

void arch_stack(struct arch_builder *b, struct weight *w, uint32_t n_parts, uint32_t n_read,
                uint64_t rows, uint64_t cols, const char *name_fmt, ...)
{
    struct extent x = {rows, cols, 0, rows, n_parts, n_read};
    WITH_NAME(set_matrix(b, w, &x, name));
}

void arch_stack_slice(struct arch_builder *b, struct weight *w, uint32_t n_parts, uint32_t n_read,
                      uint64_t row0, uint64_t rows, uint64_t total, uint64_t cols,
                      const char *name_fmt, ...)
{
    struct extent x = {rows, cols, row0, total, n_parts, n_read};
    WITH_NAME(set_matrix(b, w, &x, name));
}

void arch_vector(struct arch_builder *b, const float **v, uint64_t n, const char *name_fmt, ...)
{
    WITH_NAME(set_vector(b, v, n, name));
}

static void set_vector_opt(struct arch_builder *b, const float **v, uint64_t n, const char *name)
{
    if (gguf_tensor_find(b->g, name)) set_vector(b, v, n, name);
}

void arch_vector_opt(struct arch_builder *b, const float **v, uint64_t n, const char *name_fmt, ...)
{
    WITH_NAME(set_vector_opt(b, v, n, name));
}

static void set_vectors_opt(struct arch_builder *b, const float **v, uint64_t n, uint64_t count,
                            const char *name)
{
    if (gguf_tensor_find(b->g, name)) set_vectors(b, v, n, count, name);
}

void arch_vectors_opt(struct arch_builder *b, const float **v, uint64_t n, uint64_t count,
                      const char *name_fmt, ...)
{
    WITH_NAME(set_vectors_opt(b, v, n, count, name));
}

static void set_norm(struct arch_builder *b, struct norm *n, uint64_t width, const char *name)
{
    *n = (struct norm){.kind = b->norm_kind, .eps = b->norm_eps};
    arch_vector(b, &n->w, width, "%s.weight", name);
    if (n->kind == NORM_LAYER)
        arch_vector_opt(b, &n->b, width, "%s.bias", name);
    else
        arch_refuse(b, "%s.bias", name);
}

void arch_norm(struct arch_builder *b, struct norm *n, uint64_t width, const char *name_fmt, ...)
{
    WITH_NAME(set_norm(b, n, width, name));
}

static void set_table(struct arch_builder *b, const struct gguf_tensor **table, uint64_t rows,
                      uint64_t cols, const char *name)
{
    const struct quant_traits *type;
    const struct gguf_tensor *t = take(b, name);
    if (check_tensor(b, name, t, (const uint64_t[]){cols, rows, 1}, &type)) *table = t;
}

void arch_table(struct arch_builder *b, const struct gguf_tensor **table, uint64_t rows,
                uint64_t cols, const char *name_fmt, ...)
{
    WITH_NAME(set_table(b, table, rows, cols, name));
}

static void refuse(struct arch_builder *b, const char *name)
{
    if (gguf_tensor_find(b->g, name))
        arch_fail(b, ERR_UNSUPPORTED,
                  "tensor %s is not supported in a %s model; without it the answers would be wrong",
                  name, b->name);
}

void arch_refuse(struct arch_builder *b, const char *name_fmt, ...)
{
    WITH_NAME(refuse(b, name));
}
