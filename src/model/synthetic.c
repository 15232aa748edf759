/* Names, types and shapes of synthetic models. */
#include "model/synthetic.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "gguf/gguf.h"
#include "model/synthetic_int.h"

/* Short names keep a model on one or two lines. */
enum {
    QKV_BIAS = SYNTHETIC_QKV_BIAS,
    BIAS = SYNTHETIC_QKV_BIAS | SYNTHETIC_ALL_BIAS,
    LAYER_NORM = SYNTHETIC_LAYER_NORM,
    GATED = SYNTHETIC_GATED,
    TIED = SYNTHETIC_TIED,
    HEAD_NORMS = SYNTHETIC_HEAD_NORMS,
    SINKS = SYNTHETIC_SINKS,
};

/* As the config.json of their makers says. */
static const struct synthetic_shape shapes[] = {
    /* TinyLlama-1.1B, with a longer context */
    {"llama-1b", "llama", GATED, 22, 2048, 5632, 32, 4, 32000, 16384, 1e4, 1, 1e-5},
    {"deepseek-coder-1.3b", "llama", GATED, 24, 2048, 5504, 16, 16, 32256, 16384, 1e5, 4, 1e-6},
    {"deepseek-coder-6.7b", "llama", GATED, 32, 4096, 11008, 32, 32, 32256, 16384, 1e5, 4, 1e-6},
    {"deepseek-coder-33b", "llama", GATED, 62, 7168, 19200, 56, 8, 32256, 16384, 1e5, 4, 1e-6},
    {"codellama-7b", "llama", GATED, 32, 4096, 11008, 32, 32, 32016, 16384, 1e6, 1, 1e-5},
    {"codellama-13b", "llama", GATED, 40, 5120, 13824, 40, 40, 32016, 16384, 1e6, 1, 1e-5},
    {"codellama-34b", "llama", GATED, 48, 8192, 22016, 64, 8, 32000, 16384, 1e6, 1, 1e-5},
    {"starcoder2-3b", "starcoder2", BIAS | LAYER_NORM | TIED, 30, 3072, 12288, 24, 2, 49152, 16384,
     999999.4420358813, 1, 1e-5},
    {"starcoder2-7b", "starcoder2", BIAS | LAYER_NORM | TIED, 32, 4608, 18432, 36, 4, 49152, 16384,
     1e6, 1, 1e-5},
    {"qwen2.5-coder-0.5b", "qwen2", QKV_BIAS | GATED | TIED, 24, 896, 4864, 14, 2, 151936, 32768,
     1e6, 1, 1e-6},
    {"qwen2.5-coder-1.5b", "qwen2", QKV_BIAS | GATED | TIED, 28, 1536, 8960, 12, 2, 151936, 32768,
     1e6, 1, 1e-6},
    {"qwen2.5-coder-3b", "qwen2", QKV_BIAS | GATED | TIED, 36, 2048, 11008, 16, 2, 151936, 32768,
     1e6, 1, 1e-6},
    {"qwen2.5-coder-7b", "qwen2", QKV_BIAS | GATED, 28, 3584, 18944, 28, 4, 152064, 32768, 1e6, 1,
     1e-6},
    {"qwen2.5-coder-14b", "qwen2", QKV_BIAS | GATED, 48, 5120, 13824, 40, 8, 152064, 32768, 1e6, 1,
     1e-6},
    {"qwen2.5-coder-32b", "qwen2", QKV_BIAS | GATED, 64, 5120, 27648, 40, 8, 152064, 32768, 1e6, 1,
     1e-6},
    {"qwen3-coder-30b-a3b", "qwen3moe", GATED | HEAD_NORMS, 48, 2048, 5472, 32, 4, 151936, 262144,
     1e7, 1, 1e-6, .head_dim = 128, .experts = {.n = 128, .n_used = 8, .n_ff = 768}},
    {"gpt-oss-20b", "gpt-oss", GATED | BIAS | SINKS, 24, 2880, 2880, 64, 8, 201088, 131072, 150000,
     32, 1e-5, .head_dim = 64, .window = 128, .yarn_context = 4096,
     .ffn_norm = "post_attention_norm", .experts = {.n = 32, .n_used = 4, .n_ff = 2880}},
    {"deepseek-coder-v2-lite", "deepseek2", GATED, 27, 2048, 10944, 16, 1, 102400, 163840, 1e4, 40,
     1e-6, .yarn_context = 4096, .yarn_multiplier = 0.0707,
     .experts = {.n = 64, .n_used = 6, .n_ff = 1408, .n_dense = 1, .n_shared = 2},
     .latent = {.kv_rank = 512, .n_rope = 64, .n_plain = 128, .n_value = 128}},
    {"mixtral-8x7b", "llama", GATED, 32, 4096, 14336, 32, 8, 32000, 32768, 1e6, 1, 1e-5,
     .experts = {.n = 8, .n_used = 2, .n_ff = 14336}},
    /* no maker's: a mixture for small machines, 3.4B of which a token reads 1.1B, and what tests
     * and first tries use */
    {"moe-16x", "qwen3moe", GATED | HEAD_NORMS, 24, 2048, 5120, 16, 4, 32000, 32768, 1e6, 1, 1e-6,
     .head_dim = 128, .experts = {.n = 16, .n_used = 4, .n_ff = 1280}},
    {"tiny", "llama", GATED, 2, 256, 512, 4, 2, 512, 2048, 1e4, 1, 1e-5},
    {"tiny-moe", "qwen3moe", GATED | HEAD_NORMS, 2, 256, 512, 4, 2, 512, 2048, 1e4, 1, 1e-6,
     .head_dim = 32, .experts = {.n = 16, .n_used = 4, .n_ff = 256}},
    {"tiny-gpt-oss", "gpt-oss", GATED | BIAS | SINKS, 2, 256, 512, 4, 2, 512, 2048, 1e4, 32, 1e-5,
     .head_dim = 64, .window = 32, .yarn_context = 64, .ffn_norm = "post_attention_norm",
     .experts = {.n = 8, .n_used = 2, .n_ff = 256}},
    {"tiny-mla", "deepseek2", GATED, 2, 256, 512, 4, 1, 512, 2048, 1e4, 4, 1e-6,
     .yarn_context = 512, .yarn_multiplier = 0.0707,
     .experts = {.n = 8, .n_used = 2, .n_ff = 256, .n_dense = 1, .n_shared = 1},
     .latent = {.kv_rank = 64, .n_rope = 32, .n_plain = 32, .n_value = 32}},
};
#define N_SHAPES (sizeof shapes / sizeof *shapes)

/* ---- names ------------------------------------------------------------------------------------
 */

static const struct synthetic_shape *find_shape(const char *name, size_t len)
{
    for (size_t i = 0; i < N_SHAPES; i++)
        if (strlen(shapes[i].name) == len && strncasecmp(shapes[i].name, name, len) == 0)
            return &shapes[i];
    return NULL;
}

enum status synthetic_parse(const char *text, struct synthetic *out, struct error *err)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    char known[640];
    size_t at = 0;
    *out =
        (struct synthetic){find_shape(text, len), colon ? synthetic_form_named(colon + 1) : NULL};
    if (!out->shape) {
        known[0] = 0;
        for (size_t i = 0; i < N_SHAPES && at < sizeof known; i++)
            at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "",
                                   shapes[i].name);
        return error_set(err, ERR_NOT_FOUND, "no synthetic model is called '%.*s'; there are %s",
                         (int)(len < 80 ? len : 80), text, known);
    }
    if (!out->form)
        return error_set(err, ERR_NOT_FOUND,
                         "synthetic models need a type, as in %s:q4_0%s%.40s%s: %s",
                         out->shape->name, colon ? ", and '" : "", colon ? colon + 1 : "",
                         colon ? "' is none" : "", synthetic_form_names(known, sizeof known));
    return OK;
}

const char *synthetic_arch(const struct synthetic *s)
{
    return s->shape->arch;
}

const char *synthetic_file_name(const struct synthetic *s, char *dst, size_t cap)
{
    snprintf(dst, cap, "%s-%s", s->shape->name, quant_find(s->form->type)->name);
    for (char *p = dst; cap && *p; p++) *p = (char)tolower((unsigned char)*p);
    return dst;
}

const char *synthetic_label(const struct synthetic *s, char dst[SYNTHETIC_LABEL_SIZE])
{
    snprintf(dst, SYNTHETIC_LABEL_SIZE, "synthetic %s %s", s->shape->name,
             quant_find(s->form->type)->name);
    return dst;
}

bool synthetic_is_at(const struct synthetic *s, const char *path)
{
    struct gguf *g;
    struct gguf_str name;
    uint64_t bytes;
    char label[SYNTHETIC_LABEL_SIZE];
    if (gguf_open(path, &g, NULL)) return false;
    bool same = gguf_get_str(g, "general.name", &name, NULL) == OK &&
                gguf_str_eq(name, synthetic_label(s, label)) &&
                synthetic_file_bytes(s, &bytes, NULL) == OK && gguf_file_bytes(g) == bytes;
    gguf_close(g);
    return same;
}
