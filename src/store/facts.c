/* What a model file says of itself, for models that no catalogue describes. */
#include <stdio.h>
#include <string.h>

#include "gguf/gguf.h"
#include "quant/quant.h"
#include "store/store_int.h"

enum { MAX_CONTEXT = 1 << 30 };

static void add_text(json_t *entry, const char *field, const char *text)
{
    if (text && *text) json_object_set_new(entry, field, json_string(text));
}

/* general.file_type, the names as published files carry them; see ggml's docs/gguf.md. */
static const char *file_type_name(uint32_t type)
{
    static const char *const names[] = {
        [0] = "F32",     [1] = "F16",     [2] = "Q4_0",    [3] = "Q4_1",    [7] = "Q8_0",
        [8] = "Q5_0",    [9] = "Q5_1",    [10] = "Q2_K",   [11] = "Q3_K_S", [12] = "Q3_K_M",
        [13] = "Q3_K_L", [14] = "Q4_K_S", [15] = "Q4_K_M", [16] = "Q5_K_S", [17] = "Q5_K_M",
        [18] = "Q6_K",   [19] = "IQ2_XXS", [20] = "IQ2_XS", [21] = "Q2_K_S", [22] = "IQ3_XS",
        [23] = "IQ3_XXS", [24] = "IQ1_S", [25] = "IQ4_NL", [26] = "IQ3_S", [27] = "IQ3_M",
        [28] = "IQ2_S",  [29] = "IQ2_M",  [30] = "IQ4_XS", [31] = "IQ1_M", [32] = "BF16",
        [36] = "TQ1_0",  [37] = "TQ2_0",  [38] = "MXFP4",  [39] = "NVFP4", [40] = "Q1_0",
        [41] = "Q2_0",
    };
    return type < sizeof names / sizeof names[0] ? names[type] : NULL;
}

/* The type of the largest tensor where the file names no mix. */
static const char *quantization(const struct gguf *g)
{
    uint32_t type;
    if (gguf_get_u32(g, "general.file_type", &type, NULL) == OK && file_type_name(type))
        return file_type_name(type);
    const struct gguf_tensor *largest = NULL;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (!largest || t->size > largest->size) largest = t;
    }
    const struct quant_traits *traits = largest ? quant_find(largest->type) : NULL;
    return traits ? traits->name : NULL;
}

static void add_parameters(const struct gguf *g, json_t *entry)
{
    char text[32];
    double n = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        n += (double)t->ne[0] * (double)t->ne[1] * (double)t->ne[2] * (double)t->ne[3];
    }
    /* Limits where three digits would round to "1e+03". */
    if (n >= 999.5e6)
        snprintf(text, sizeof text, "%.3gB", n / 1e9);
    else if (n >= 999.5e3)
        snprintf(text, sizeof text, "%.3gM", n / 1e6);
    else
        snprintf(text, sizeof text, "%.3gK", n / 1e3);
    if (n > 0) add_text(entry, "parameters", text);
}

static void add_context(const struct gguf *g, const struct gguf_str *arch, json_t *entry)
{
    char key[128];
    uint64_t n;
    int len = snprintf(key, sizeof key, "%.*s.context_length", (int)arch->len, arch->data);
    if (len < (int)sizeof key && gguf_get_u64(g, key, &n, NULL) == OK && n > 0 && n <= MAX_CONTEXT)
        json_object_set_new(entry, "context", json_integer((json_int_t)n));
}

void facts_add(const struct gguf *g, json_t *entry)
{
    const struct {
        const char *key, *field;
    } texts[] = {{"general.architecture", "architecture"}, {"general.name", "title"}};
    struct gguf_str v;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (gguf_get_str(g, texts[i].key, &v, NULL) != OK || v.len == 0 || v.len > 255) continue;
        json_t *text = json_stringn(v.data, v.len); /* NULL unless UTF-8 */
        if (text) json_object_set_new(entry, texts[i].field, text);
    }
    add_parameters(g, entry);
    add_text(entry, "quantization", quantization(g));
    if (gguf_get_str(g, "general.architecture", &v, NULL) == OK && v.len < 64)
        add_context(g, &v, entry);
    /* Some converters name the token, which only models have that were trained with it. */
    uint64_t id;
    if (gguf_get_u64(g, "tokenizer.ggml.fim_pre_token_id", &id, NULL) == OK ||
        gguf_get_u64(g, "tokenizer.ggml.prefix_token_id", &id, NULL) == OK)
        json_object_set_new(entry, "fim", json_true());
}
