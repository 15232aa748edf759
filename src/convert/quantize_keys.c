#include "convert/quantize_keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Replaced below, or wrong in one file that was several. The alignment is the writer's. */
static const char *const left_out[] = {
    "general.file_type",
    "general.quantization_version",
    "general.alignment",
    "split.no",
    "split.count",
    "split.tensors.count",
    "quantize.imatrix.file",
    "quantize.imatrix.dataset",
    "quantize.imatrix.entries_count",
    "quantize.imatrix.chunks_count",
};

static bool is_left_out(const char *key)
{
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (strcmp(key, left_out[i]) == 0) return true;
    return false;
}

static enum status carry_strings(const struct gguf_array *a, const char *key, struct gguf_writer *w,
                                 struct error *err)
{
    struct gguf_str *values = calloc(a->count + 1, sizeof *values);
    if (!values) return error_set(err, ERR_NOMEM, "out of memory");
    uint64_t cursor = 0, n = 0;
    while (n < a->count && gguf_array_next_str(a, &cursor, &values[n])) n++;
    gguf_writer_strings(w, key, values, n);
    free(values);
    return OK;
}

static enum status carry_array(const struct gguf *g, const char *key, struct gguf_writer *w,
                               struct error *err)
{
    struct gguf_array a;
    enum status st = gguf_get_array(g, key, &a, err);
    if (st) return st;
    if (a.type == GGUF_STRING) return carry_strings(&a, key, w, err);
    gguf_writer_array(w, key, a.type, a.count, a.data);
    return OK;
}

static enum status carry_integer(const struct gguf *g, const char *key, enum gguf_type type,
                                 struct gguf_writer *w, struct error *err)
{
    uint64_t u;
    int64_t i;
    if (gguf_get_u64(g, key, &u, NULL) == OK) {
        gguf_writer_u64(w, key, type, u);
        return OK;
    }
    enum status st = gguf_get_i64(g, key, &i, err);
    if (!st) gguf_writer_i64(w, key, type, i);
    return st;
}

static enum status carry(const struct gguf *g, const char *key, enum gguf_type type,
                         struct gguf_writer *w, struct error *err)
{
    enum status st;
    struct gguf_str s;
    bool b;
    double f;
    switch (type) {
    case GGUF_ARRAY:
        return carry_array(g, key, w, err);
    case GGUF_STRING:
        st = gguf_get_str(g, key, &s, err);
        if (!st) gguf_writer_bytes(w, key, s);
        return st;
    case GGUF_BOOL:
        st = gguf_get_bool(g, key, &b, err);
        if (!st) gguf_writer_bool(w, key, b);
        return st;
    case GGUF_F32:
    case GGUF_F64:
        st = gguf_get_f64(g, key, &f, err);
        if (!st) gguf_writer_f64(w, key, type, f);
        return st;
    default:
        return carry_integer(g, key, type, w, err);
    }
}

static void add_imatrix(const struct quantize_request *rq, struct gguf_writer *w)
{
    const struct column_weights *im = rq->imatrix;
    const char *dataset = column_weights_dataset(im), *slash = strrchr(dataset, '/');
    if (rq->imatrix_name) gguf_writer_str(w, "quantize.imatrix.file", rq->imatrix_name);
    if (*dataset) gguf_writer_str(w, "quantize.imatrix.dataset", slash ? slash + 1 : dataset);
    gguf_writer_u64(w, "quantize.imatrix.entries_count", GGUF_U32, column_weights_n_entries(im));
    if (column_weights_n_chunks(im) <= UINT32_MAX)
        gguf_writer_u64(w, "quantize.imatrix.chunks_count", GGUF_U32, column_weights_n_chunks(im));
}

enum status quantize_keys(const struct gguf *g, const struct quantize_request *rq,
                          struct gguf_writer *w, struct error *err)
{
    enum { QUANTIZATION_VERSION = 2 }; /* ggml's GGML_QNT_VERSION */
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        struct gguf_str name = gguf_key_name(g, i);
        char *key = strndup(name.data, name.len);
        if (!key) return error_set(err, ERR_NOMEM, "out of memory");
        enum status st = OK;
        if (strlen(key) != name.len)
            st = error_set(err, ERR_FORMAT, "%s: key '%s' has a zero byte in its name",
                           gguf_path(g), key);
        else if (!is_left_out(key))
            st = carry(g, key, gguf_key_type(g, i), w, err);
        free(key);
        if (st) return st;
    }
    gguf_writer_u64(w, "general.quantization_version", GGUF_U32, QUANTIZATION_VERSION);
    gguf_writer_u64(w, "general.file_type", GGUF_U32, rq->choices.mix->file_type);
    if (rq->imatrix) add_imatrix(rq, w);
    return OK;
}

/* A number that may be one for each layer: then the largest. */
static uint32_t number(const struct gguf *g, const char *arch, const char *name)
{
    char key[192];
    uint32_t v = 0;
    struct gguf_array a;
    snprintf(key, sizeof key, "%s.%s", arch, name);
    if (gguf_get_u32(g, key, &v, NULL) == OK) return v;
    if (gguf_get_array(g, key, &a, NULL) || a.type == GGUF_STRING) return 0;
    for (uint64_t i = 0; i < a.count; i++) {
        int64_t each = gguf_array_i64(&a, i);
        if (each > v && each <= UINT32_MAX) v = (uint32_t)each;
    }
    return v;
}

void quantize_model_of(const struct gguf *g, struct quantize_model *m)
{
    struct gguf_str name;
    char arch[128];
    *m = (struct quantize_model){0};
    if (gguf_get_str(g, "general.architecture", &name, NULL) || name.len >= sizeof arch) return;
    snprintf(arch, sizeof arch, "%.*s", (int)name.len, name.data);
    m->n_layer = number(g, arch, "block_count");
    m->n_head = number(g, arch, "attention.head_count");
    m->n_head_kv = number(g, arch, "attention.head_count_kv");
    m->n_expert = number(g, arch, "expert_count");
    if (!m->n_head_kv) m->n_head_kv = m->n_head;
}
