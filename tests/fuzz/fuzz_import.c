/* libFuzzer target: a model folder's config and weights, up to every row of every tensor.
 *
 * Input: flags; config.json, ended by a NUL; then the weights, each a line of text (its name), the
 * number of its type, of its dimensions, those (one byte each), and its bytes, taken from what
 * follows and repeated as often as the shape needs. Sound safetensors files are made of that, so
 * that what is hostile here are names, shapes, types and numbers; broken files are
 * fuzz_safetensors's. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "convert/import_int.h"
#include "gguf/safetensors_int.h"
#include "quant/quant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_WEIGHTS = 96, MAX_BYTES = 1 << 16, FLAG_EXACT = 1, FLAG_QUANTIZE = 2 };

struct input {
    const uint8_t *p, *end;
};

static uint8_t take(struct input *in)
{
    return in->p < in->end ? *in->p++ : 0;
}

static size_t take_text(struct input *in, char end, char *dst, size_t cap)
{
    size_t n = 0;
    while (in->p < in->end && *in->p != (uint8_t)end) {
        if (n + 1 < cap) dst[n++] = (char)*in->p;
        in->p++;
    }
    if (in->p < in->end) in->p++;
    dst[n] = 0;
    return n;
}

static void add_weight(struct input *in, struct buf *header, struct buf *bytes)
{
    char name[200], clean[200];
    size_t n = 0;
    take_text(in, '\n', name, sizeof name);
    for (char *c = name; *c; c++)
        if (*c >= ' ' && *c != '"' && *c != '\\') clean[n++] = *c;
    clean[n] = 0;
    enum safetensor_type type = (enum safetensor_type)(take(in) % (ST_F64 + 1));
    size_t n_dims = take(in) % 5, count = 1;
    buf_printf(header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", header->len > 1 ? "," : "", clean,
               safetensor_type_name(type));
    for (size_t d = 0; d < n_dims; d++) {
        size_t dim = take(in);
        count *= dim;
        if (count > MAX_BYTES) count = 0, dim = 0;
        buf_printf(header, "%s%zu", d ? "," : "", dim);
    }
    size_t need = count * safetensor_type_size(type), at = bytes->len;
    if (need > MAX_BYTES) need = 0;
    buf_printf(header, "],\"data_offsets\":[%zu,%zu]}", at, at + need);
    size_t there = take(in);
    if (there > (size_t)(in->end - in->p)) there = (size_t)(in->end - in->p);
    static const uint8_t none[3] = {0x11, 0x3c, 0x22};
    const uint8_t *pattern = there ? in->p : none;
    size_t period = there ? there : sizeof none;
    for (size_t i = 0; i < need; i += period)
        buf_append(bytes, pattern, need - i < period ? need - i : period);
    in->p += there;
}

static void make_file(struct input *in, struct buf *out)
{
    struct buf header, bytes;
    uint8_t head[8];
    buf_init(&header, 1 << 20);
    buf_init(&bytes, 4 << 20);
    buf_init(out, 8 << 20);
    buf_printf(&header, "{");
    for (int i = 0; i < MAX_WEIGHTS && in->p < in->end; i++) add_weight(in, &header, &bytes);
    buf_printf(&header, "}");
    for (int i = 0; i < 8; i++) head[i] = (uint8_t)((uint64_t)header.len >> 8 * i);
    buf_append(out, head, 8);
    buf_append(out, header.data, header.len);
    if (bytes.len) buf_append(out, bytes.data, bytes.len);
    buf_fini(&header);
    buf_fini(&bytes);
}

static void read_rows(const struct import_plan *plan)
{
    struct import_buffers b;
    if (import_buffers_init(&b, plan, NULL)) __builtin_trap();
    for (size_t i = 0; i < plan->n; i++) {
        const struct import_tensor *t = &plan->v[i];
        struct error err = {0};
        for (uint64_t row = 0; row < t->rows; row += t->chunk_rows) {
            struct import_errors e;
            uint64_t n = t->rows - row < t->chunk_rows ? t->rows - row : t->chunk_rows;
            enum status st = import_rows(t, row, n, &b, &e, &err);
            if (st != err.code) __builtin_trap();
            if (st) break;
            /* Exact types are exact. */
            if (t->way == IMPORT_PACK && (t->type == QUANT_Q5_0) && e.max_error != 0 &&
                t->parts[0].src->scales->type == ST_F16)
                __builtin_trap();
        }
    }
    import_buffers_fini(&b);
}

/* The two ways to read a packed matrix agree. */
static void compare_readers(const struct hf_source *s)
{
    if (s->kind != HF_GPTQ && s->kind != HF_AWQ) return;
    int16_t *row = calloc(s->packed.in, sizeof *row);
    uint64_t r = s->packed.out - 1;
    if (!row) return;
    hf_packed_row(s, r, row);
    for (uint64_t i = 0; i < s->packed.in; i++)
        if (hf_packed_at(s, r, i) != row[i]) __builtin_trap();
    free(row);
}

static void plan(struct hf_model *m, struct safetensors *files, uint8_t flags)
{
    struct error err = {0};
    struct hf_sources sources;
    struct import_plan p;
    struct import_report r = {0};
    struct import_options o = {.exact = flags & FLAG_EXACT,
                               .quantize = flags & FLAG_QUANTIZE ? "Q4_K_M" : NULL};
    enum status st = hf_sources_build(files, &m->config, NULL, &sources, &err);
    if (st != err.code) __builtin_trap();
    if (st) return;
    for (size_t i = 0; i < sources.n; i++) compare_readers(&sources.v[i]);
    st = import_plan_make(m, &sources, &o, &p, &r, &err);
    if (st != err.code) __builtin_trap();
    if (st == OK) {
        read_rows(&p);
        import_plan_fini(&p);
    }
    hf_sources_fini(&sources);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    struct error err = {0};
    uint8_t flags = take(&in);
    char *text = malloc(size + 1);
    struct hf_model m = {.folder = "fuzz"};
    if (!text) return 0;
    size_t len = take_text(&in, 0, text, size + 1);
    enum status st = hf_config_parse(text, len, "config.json", &m.config, &err);
    if (st == OK) st = hf_model_init(&m, &err);
    if (st != err.code) __builtin_trap();
    if (st == OK) {
        struct gguf_writer *w;
        struct hf_keys k = {.m = &m, .err = &err};
        struct safetensors *files = NULL;
        struct buf file;
        if (gguf_writer_begin("fuzz.gguf", 0, &w, NULL)) __builtin_trap();
        k.w = w;
        m.arch->keys(&k);
        gguf_writer_abandon(w);
        make_file(&in, &file);
        if (safetensors_open_memory(file.data, file.len, "fuzz.safetensors", &files, NULL) == OK)
            plan(&m, files, flags);
        safetensors_close(files);
        buf_fini(&file);
    }
    hf_model_fini(&m);
    free(text);
    return 0;
}
