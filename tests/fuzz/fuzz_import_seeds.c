/* Writes the first inputs of fuzz_import into a folder: a small model of each way to store one. */
#include <dirent.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BF16 = 9, F16 = 8, I32 = 11, F32 = 12, U8 = 1, FP8 = 3 };

#define LLAMA                                                                                      \
    "\"hidden_size\":32,\"intermediate_size\":32,\"num_hidden_layers\":1,\"num_attention_heads\":" \
    "2,"                                                                                           \
    "\"vocab_size\":8,\"max_position_embeddings\":64,\"rms_norm_eps\":1e-5"

static const char *const projections[] = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj",
};

static void weight(FILE *f, const char *name, int type, int n, int a, int b, int c)
{
    const int dims[4] = {a, b, c, 16};
    fprintf(f, "%s\n%c%c", name, type, n);
    for (int i = 0; i < n; i++) fputc(dims[i], f);
    fprintf(f, "%c%s", 5, "\x11\x3c\x22\x75\x18");
}

/* kind: 0 plain, 1 GPTQ, 2 AWQ, 3 FP8 */
static void llama(FILE *f, int flags, int kind, const char *quantization)
{
    char name[100];
    fprintf(f, "%c{\"architectures\":[\"LlamaForCausalLM\"]," LLAMA "%s}%c", flags, quantization,
            0);
    weight(f, "model.embed_tokens.weight", BF16, 2, 8, 32, 0);
    weight(f, "model.norm.weight", F32, 1, 32, 0, 0);
    weight(f, "model.layers.0.input_layernorm.weight", BF16, 1, 32, 0, 0);
    weight(f, "model.layers.0.post_attention_layernorm.weight", BF16, 1, 32, 0, 0);
    for (int i = 0; i < 7; i++) {
        const char *p = projections[i];
        bool packed = kind && i == 1;
        snprintf(name, sizeof name, "model.layers.0.%s.%s", p,
                 packed && kind < 3 ? "qweight" : "weight");
        if (!packed) weight(f, name, BF16, 2, 32, 32, 0);
        if (packed && kind == 1) weight(f, name, I32, 2, 4, 32, 0);
        if (packed && kind == 2) weight(f, name, I32, 2, 32, 4, 0);
        if (packed && kind == 3) weight(f, name, FP8, 2, 32, 32, 0);
        if (!packed) continue;
        snprintf(name, sizeof name, "model.layers.0.%s.%s", p,
                 kind == 3 ? "weight_scale_inv" : "scales");
        weight(f, name, kind == 3 ? F32 : F16, 2, kind == 3 ? 2 : 1, kind == 3 ? 2 : 32, 0);
        snprintf(name, sizeof name, "model.layers.0.%s.qzeros", p);
        if (kind < 3) weight(f, name, I32, 2, 1, 4, 0);
    }
}

/* Each family, as tools/golden/hf_golden.py described it. */
static void family(FILE *f, const json_t *golden)
{
    static const char *const types[] = {[U8] = "U8", [F16] = "F16", [BF16] = "BF16", [F32] = "F32"};
    char *config = json_dumps(json_object_get(golden, "config"), JSON_COMPACT);
    const char *name;
    json_t *entry, *dim;
    size_t i;
    fprintf(f, "%c%s%c", 0, config, 0);
    free(config);
    json_object_foreach(json_object_get(golden, "source"), name, entry)
    {
        const char *type = json_string_value(json_array_get(entry, 0));
        int t = F32;
        for (int k = 0; k <= F32; k++)
            if (types[k] && strcmp(types[k], type) == 0) t = k;
        fprintf(f, "%s\n%c%c", name, t, (int)json_array_size(json_array_get(entry, 1)));
        json_array_foreach(json_array_get(entry, 1), i, dim) fputc((int)json_integer_value(dim), f);
        fprintf(f, "%c%s", 5, "\x11\x3c\x22\x75\x18");
    }
}

static int families(const char *folder)
{
    struct dirent **list = NULL;
    int n = scandir(GOLDEN_DIR "/import", &list, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/import/%s", GOLDEN_DIR, list[i]->d_name);
        json_t *golden = strstr(list[i]->d_name, ".json") ? json_load_file(path, 0, NULL) : NULL;
        snprintf(path, sizeof path, "%s/family-%s", folder, list[i]->d_name);
        FILE *f = golden ? fopen(path, "wb") : NULL;
        if (golden && !f) return 1;
        if (f) family(f, golden);
        if (f) fclose(f);
        json_decref(golden);
        free(list[i]);
    }
    free(list);
    return n > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const char *const quantization[] = {
        "",
        ",\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32}",
        ",\"quantization_config\":{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":32}",
        ",\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[16,16]}",
    };
    if (argc != 2) return 2;
    for (int i = 0; i < 8; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/seed-%d", argv[1], i);
        FILE *f = fopen(path, "wb");
        if (!f) return 1;
        llama(f, i / 4, i % 4, quantization[i % 4]);
        fclose(f);
    }
    return families(argv[1]);
}
