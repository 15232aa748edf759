#include "convert/hf_source.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gguf/gguf_names.h"
#include "quant/blocks.h"

enum { MXFP4_BYTES = 16, MXFP4_ELEMS = 32 };

/* ---- which tensors belong together ------------------------------------------------------------
 */

struct builder {
    struct hf_sources *out;
    const char *path; /* of config.json */
    char method[32];  /* quant_method, "" without */
    bool plus_one;
    uint64_t group_size; /* 0: not told; UINT64_MAX: all columns */
    uint64_t block[2];   /* FP8 */
    struct error *err;
};

/* `name` without a suffix; NULL where it ends otherwise or memory is short. */
static char *without(struct gguf_str name, const char *suffix)
{
    size_t n = strlen(suffix);
    if (name.len <= n || memcmp(name.data + name.len - n, suffix, n) != 0) return NULL;
    return strndup(name.data, name.len - n);
}

static const struct safetensor *beside(const struct builder *b, const char *base,
                                       const char *suffix)
{
    char name[SAFETENSORS_MAX_DIMS + 1200];
    snprintf(name, sizeof name, "%s%s", base, suffix);
    return safetensors_find(b->out->files, name);
}

/* Takes `name`. */
static struct hf_source *add(struct builder *b, char *name, enum hf_kind kind,
                             const struct safetensor *t)
{
    struct hf_source *s = &b->out->v[b->out->n++];
    *s = (struct hf_source){
        .name = {name, strlen(name)}, .kind = kind, .data = t, .n_dims = t->n_dims};
    memcpy(s->shape, t->shape, sizeof s->shape);
    return s;
}

static enum status add_packed(struct builder *b, const struct safetensor *t, char *base)
{
    bool awq = strcmp(b->method, "awq") == 0;
    char *name = NULL;
    if (!awq && strcmp(b->method, "gptq") != 0)
        return error_set(
            b->err, ERR_UNSUPPORTED,
            "%s: tensor '%.200s' is packed, but no config tells how (\"quant_method\")", b->path,
            t->name.data);
    if (asprintf(&name, "%s.weight", base) < 0)
        return error_set(b->err, ERR_NOMEM, "out of memory");
    struct hf_source *s = add(b, name, awq ? HF_AWQ : HF_GPTQ, t);
    s->zeros = beside(b, base, ".qzeros");
    s->scales = beside(b, base, ".scales");
    if (!s->zeros || !s->scales)
        return error_set(b->err, ERR_FORMAT, "%s: '%.200s' lacks its qzeros or scales", b->path,
                         t->name.data);
    return awq ? awq_attach(s, b->group_size, b->path, b->err)
               : gptq_attach(s, beside(b, base, ".g_idx"), b->group_size, b->plus_one, b->path,
                             b->err);
}

static enum status add_mxfp4(struct builder *b, const struct safetensor *t, char *base)
{
    struct hf_source *s = add(b, strdup(base), HF_MXFP4, t);
    s->scales = beside(b, base, "_scales");
    bool fits = t->type == ST_U8 && t->n_dims == 4 && t->shape[3] == MXFP4_BYTES && s->scales &&
                s->scales->type == ST_U8 && s->scales->n_dims == 3;
    for (int i = 0; i < 3 && fits; i++) fits = s->scales->shape[i] == t->shape[i];
    if (!fits)
        return error_set(b->err, ERR_FORMAT, "%s: '%.200s' and its scales are no MXFP4 matrices",
                         b->path, t->name.data);
    s->n_dims = 3;
    s->shape[2] = t->shape[2] * MXFP4_ELEMS;
    s->shape[3] = 1;
    return OK;
}

static enum status add_fp8(struct builder *b, const struct safetensor *t)
{
    struct hf_source *s = add(b, strdup(t->name.data), HF_FP8, t);
    s->scales = beside(b, t->name.data, "_scale_inv");
    if (!s->scales) s->scales = beside(b, t->name.data, "_scale");
    const struct safetensor *sc = s->scales;
    if (!sc) return OK;
    bool floats = sc->type == ST_F16 || sc->type == ST_BF16 || sc->type == ST_F32;
    uint64_t rows = t->n_dims ? t->shape[0] : 1, cols = t->n_dims == 2 ? t->shape[1] : 1;
    if (sc->count == 1) {
        s->block[0] = rows ? rows : 1;
        s->block[1] = cols ? cols : 1;
    } else if (t->n_dims == 2 && sc->count == rows) {
        s->block[0] = 1;
        s->block[1] = cols ? cols : 1;
    } else if (t->n_dims == 2 && sc->n_dims == 2 && b->block[0] && b->block[1] && rows && cols &&
               sc->shape[0] == (rows - 1) / b->block[0] + 1 &&
               sc->shape[1] == (cols - 1) / b->block[1] + 1) {
        s->block[0] = b->block[0];
        s->block[1] = b->block[1];
    } else {
        floats = false;
    }
    if (floats) return OK;
    return error_set(b->err, ERR_FORMAT, "%s: '%.200s' and its scales do not belong together",
                     b->path, t->name.data);
}

/* Parts of another source, found from its first tensor. */
static bool is_part(const struct builder *b, const struct safetensor *t)
{
    static const struct {
        const char *suffix, *of;
    } parts[] = {
        {".qzeros", ".qweight"},          {".scales", ".qweight"},
        {".g_idx", ".qweight"},           {"_scales", "_blocks"},
        {".weight_scale_inv", ".weight"}, {".weight_scale", ".weight"},
        {".activation_scale", ".weight"}, {".input_scale", ".weight"},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *base = without(t->name, parts[i].suffix);
        const struct safetensor *of = base ? beside(b, base, parts[i].of) : NULL;
        free(base);
        if (of && (i < 4 || of->type == ST_F8_E4M3)) return true;
    }
    return false;
}

static enum status add_tensor(struct builder *b, const struct safetensor *t)
{
    if (is_part(b, t)) return OK;
    char *base = without(t->name, ".qweight");
    enum status st = OK;
    if (base) {
        st = add_packed(b, t, base);
    } else if (t->type == ST_U8 && (base = without(t->name, "_blocks"))) {
        st = add_mxfp4(b, t, base);
    } else if (t->type == ST_F8_E4M3) {
        st = add_fp8(b, t);
    } else {
        add(b, strdup(t->name.data), HF_PLAIN, t);
    }
    free(base);
    return st;
}

/* ---- what the config tells --------------------------------------------------------------------
 */

static enum status unsupported(const struct builder *b, const char *what, const char *value)
{
    return error_set(b->err, ERR_UNSUPPORTED, "%s: %s '%.60s' cannot be imported yet", b->path,
                     what, value);
}

static enum status read_gptq(struct builder *b, const json_t *q)
{
    const char *format = json_string_value(json_object_get(q, "checkpoint_format"));
    if (!format) format = json_string_value(json_object_get(q, "format"));
    if (!format) format = "gptq";
    if (strcmp(format, "gptq") != 0 && strcmp(format, "gptq_v2") != 0)
        return unsupported(b, "the GPTQ format", format);
    b->plus_one = strcmp(format, "gptq") == 0;
    return OK;
}

static enum status read_awq(struct builder *b, const json_t *q)
{
    const char *version = json_string_value(json_object_get(q, "version"));
    const json_t *bits = json_object_get(q, "bits");
    if (!bits) bits = json_object_get(q, "w_bit");
    if (version && strcasecmp(version, "gemm") != 0)
        return unsupported(b, "the AWQ layout", version);
    if (bits && json_integer_value(bits) != 4)
        return error_set(b->err, ERR_UNSUPPORTED, "%s: AWQ in other than 4 bits cannot be imported",
                         b->path);
    return OK;
}

static enum status read_config(struct builder *b, const struct hf_config *c, const json_t *quantize)
{
    const json_t *q = json_object_get(c->json, "quantization_config");
    if (!q && c->text) q = json_object_get(c->text, "quantization_config");
    if (!json_is_object(q)) q = quantize;
    if (!json_is_object(q)) return OK;
    const char *method = json_string_value(json_object_get(q, "quant_method"));
    /* The packers' own files do not say it: quantize_config.json is GPTQ's, quant_config.json
     * AWQ's. */
    if (!method)
        method = json_object_get(q, "w_bit") || json_object_get(q, "zero_point") ? "awq" : "gptq";
    snprintf(b->method, sizeof b->method, "%s", method);
    const json_t *size = json_object_get(q, "group_size"),
                 *block = json_object_get(q, "weight_block_size");
    if (!size) size = json_object_get(q, "q_group_size");
    if (json_is_integer(size)) b->group_size = (uint64_t)json_integer_value(size);
    if (json_is_integer(size) && (json_integer_value(size) == 0 || json_integer_value(size) < -1))
        return error_set(b->err, ERR_FORMAT, "%s: a group_size of %" JSON_INTEGER_FORMAT, b->path,
                         json_integer_value(size));
    for (size_t i = 0; i < 2; i++) {
        json_int_t n = json_integer_value(json_array_get(block, i));
        b->block[i] = n > 0 ? (uint64_t)n : 0;
    }
    if (strcmp(method, "gptq") == 0) return read_gptq(b, q);
    if (strcmp(method, "awq") == 0) return read_awq(b, q);
    if (strcmp(method, "fp8") == 0 || strcmp(method, "mxfp4") == 0) return OK;
    return unsupported(b, "the quantization", method);
}

enum status hf_sources_build(struct safetensors *files, const struct hf_config *c,
                             const json_t *quantize, struct hf_sources *out, struct error *err)
{
    struct builder b = {.out = out, .path = c->path, .err = err};
    size_t n = safetensors_count(files);
    *out = (struct hf_sources){.files = files, .v = calloc(n + 1, sizeof *out->v)};
    enum status st =
        out->v ? read_config(&b, c, quantize) : error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n && !st; i++) st = add_tensor(&b, safetensors_at(files, i));
    const struct gguf_str *twice = NULL;
    for (size_t i = 0; i < out->n && !st; i++)
        if (!out->v[i].name.data) st = error_set(err, ERR_NOMEM, "out of memory");
    if (!st && gguf_index(out->v, out->n, sizeof *out->v, &out->by_name, &twice))
        st = error_set(err, ERR_NOMEM, "out of memory");
    if (!st && twice)
        st = error_set(err, ERR_FORMAT, "%s: weight '%.200s' is there both packed and plain",
                       c->path, twice->data);
    if (st) hf_sources_fini(out);
    return st;
}

void hf_sources_fini(struct hf_sources *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free((char *)s->v[i].name.data);
        free(s->v[i].packed.group);
    }
    free(s->v);
    free(s->by_name);
    *s = (struct hf_sources){0};
}

const struct hf_source *hf_sources_find(const struct hf_sources *s, const char *name)
{
    return gguf_index_find(s->by_name, s->n, name);
}

void hf_source_release_pages(const struct hf_sources *s, const struct hf_source *src)
{
    safetensors_release_pages(s->files, src->data);
    if (src->scales) safetensors_release_pages(s->files, src->scales);
    if (src->zeros) safetensors_release_pages(s->files, src->zeros);
}

const char *hf_source_describe(const struct hf_source *s, char *dst, size_t cap)
{
    const struct hf_packed *p = &s->packed;
    char group[40] = "one group";
    if (p->groups > 1 || p->acts)
        snprintf(group, sizeof group, "groups of %" PRIu32, p->group_size);
    if (s->kind == HF_GPTQ || s->kind == HF_AWQ)
        snprintf(dst, cap, "%s, %" PRIu32 " bits, %s%s", s->kind == HF_AWQ ? "AWQ" : "GPTQ",
                 p->bits, group, p->acts ? " in no order" : "");
    else if (s->kind == HF_FP8)
        snprintf(dst, cap, "F8_E4M3%s", s->scales ? " with scales" : "");
    else if (s->kind == HF_MXFP4)
        snprintf(dst, cap, "MXFP4");
    else
        snprintf(dst, cap, "%s", safetensor_type_name(s->data->type));
    return dst;
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

/* OCP 8-bit floating point, E4M3: no infinities, one NaN pattern per sign. */
static float fp8(uint8_t v)
{
    int e = v >> 3 & 15, m = v & 7;
    float f = e == 15 && m == 7 ? NAN : e ? ldexpf((float)(8 + m), e - 10) : ldexpf((float)m, -9);
    return v & 128 ? -f : f;
}

static float number(const struct safetensor *t, uint64_t i)
{
    const uint8_t *p = t->data + i * safetensor_type_size(t->type);
    uint32_t u;
    uint64_t w;
    float f;
    double d;
    switch (t->type) {
    case ST_F32:
        u = quant_load_u32(p);
        memcpy(&f, &u, sizeof f);
        return f;
    case ST_F16:
        return quant_load_f16(p);
    case ST_BF16:
        return quant_bf16_to_f32(quant_load_u16(p));
    case ST_F64:
        w = quant_load_u32(p) | (uint64_t)quant_load_u32(p + 4) << 32;
        memcpy(&d, &w, sizeof d);
        return (float)d;
    case ST_F8_E4M3:
        return fp8(*p);
    default:
        return NAN; /* the plan takes no others */
    }
}

/* FP4 E2M1 times 2^(scale - 127); OCP Microscaling Formats, 5.2 to 5.4. Byte k of a block holds
 * elements 2k (low) and 2k + 1. */
static float mxfp4(const struct hf_source *s, uint64_t at)
{
    static const float values[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    int nibble = s->data->data[at / 2] >> 4 * (at % 2) & 15;
    float f = ldexpf(values[nibble & 7], (int)s->scales->data[at / MXFP4_ELEMS] - 127);
    return nibble & 8 ? -f : f;
}

static float scaled_fp8(const struct hf_source *s, uint64_t at)
{
    float f = fp8(s->data->data[at]);
    if (!s->scales) return f;
    if (s->scales->count == 1) return f * number(s->scales, 0);
    uint64_t cols = s->shape[1], across = (cols - 1) / s->block[1] + 1;
    return f * number(s->scales, at / cols / s->block[0] * across + at % cols / s->block[1]);
}

void hf_source_read(const struct hf_source *s, uint64_t at, uint64_t step, uint64_t n, float *dst)
{
    const struct safetensor *t = s->data;
    if (s->kind == HF_MXFP4) {
        for (uint64_t i = 0; i < n; i++) dst[i] = mxfp4(s, at + i * step);
    } else if (s->kind == HF_FP8) {
        for (uint64_t i = 0; i < n; i++) dst[i] = scaled_fp8(s, at + i * step);
    } else if (step == 1 && t->type == ST_BF16) {
        for (uint64_t i = 0; i < n; i++)
            dst[i] = quant_bf16_to_f32(quant_load_u16(t->data + 2 * (at + i)));
    } else if (step == 1 && t->type == ST_F16) {
        for (uint64_t i = 0; i < n; i++) dst[i] = quant_load_f16(t->data + 2 * (at + i));
    } else {
        for (uint64_t i = 0; i < n; i++) dst[i] = number(t, at + i * step);
    }
}

void hf_packed_row(const struct hf_source *s, uint64_t row, int16_t *dst)
{
    if (s->kind == HF_AWQ)
        awq_row(s, row, dst);
    else
        gptq_row(s, row, dst);
}

int hf_packed_at(const struct hf_source *s, uint64_t row, uint64_t col)
{
    return s->kind == HF_AWQ ? awq_at(s, row, col) : gptq_at(s, row, col);
}

float hf_packed_scale(const struct hf_source *s, uint64_t row, uint64_t group)
{
    return number(s->scales, group * s->packed.out + row);
}

int hf_packed_zero(const struct hf_source *s, uint64_t row, uint64_t group)
{
    return s->kind == HF_AWQ ? awq_zero(s, group, row) : gptq_zero(s, group, row);
}

void hf_packed_zeros(const struct hf_source *s, int *min, int *max)
{
    *min = INT32_MAX;
    *max = INT32_MIN;
    for (uint64_t g = 0; g < s->packed.groups; g++)
        for (uint64_t r = 0; r < s->packed.out; r++) {
            int z = hf_packed_zero(s, r, g);
            if (z < *min) *min = z;
            if (z > *max) *max = z;
        }
}
