/* Writes the first inputs of fuzz_import into a folder: a small model of each way to store one. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { BF16 = 9, F16 = 8, I32 = 11, F32 = 12, U8 = 1, FP8 = 3 };

#define LLAMA                                                                                      \
    "\"hidden_size\":32,\"intermediate_size\":32,\"num_hidden_layers\":1,\"num_attention_heads\":2," \
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
    fprintf(f, "%c{\"architectures\":[\"LlamaForCausalLM\"]," LLAMA "%s}%c", flags, quantization, 0);
    weight(f, "model.embed_tokens.weight", BF16, 2, 8, 32, 0);
    weight(f, "model.norm.weight", F32, 1, 32, 0, 0);
    weight(f, "model.layers.0.input_layernorm.weight", BF16, 1, 32, 0, 0);
    weight(f, "model.layers.0.post_attention_layernorm.weight", BF16, 1, 32, 0, 0);
    for (int i = 0; i < 7; i++) {
        const char *p = projections[i];
        bool packed = kind && i == 1;
        snprintf(name, sizeof name, "model.layers.0.%s.%s", p, packed && kind < 3 ? "qweight" : "weight");
        if (!packed) weight(f, name, BF16, 2, 32, 32, 0);
        if (packed && kind == 1) weight(f, name, I32, 2, 4, 32, 0);
        if (packed && kind == 2) weight(f, name, I32, 2, 32, 4, 0);
        if (packed && kind == 3) weight(f, name, FP8, 2, 32, 32, 0);
        if (!packed) continue;
        snprintf(name, sizeof name, "model.layers.0.%s.%s", p, kind == 3 ? "weight_scale_inv" : "scales");
        weight(f, name, kind == 3 ? F32 : F16, 2, kind == 3 ? 2 : 1, kind == 3 ? 2 : 32, 0);
        snprintf(name, sizeof name, "model.layers.0.%s.qzeros", p);
        if (kind < 3) weight(f, name, I32, 2, 1, 4, 0);
    }
}

static void other(FILE *f, const char *config)
{
    fprintf(f, "%c%s%c", 0, config, 0);
    weight(f, "model.embed_tokens.weight", BF16, 2, 8, 32, 0);
    weight(f, "model.layers.0.mlp.experts.gate_up_proj", BF16, 3, 2, 8, 32);
    weight(f, "model.layers.0.mlp.experts.0.gate_proj.weight", BF16, 2, 8, 32, 0);
    weight(f, "model.layers.0.self_attn.kv_b_proj.weight", BF16, 2, 64, 16, 0);
    weight(f, "model.layers.0.mlp.experts.down_proj_blocks", U8, 4, 2, 8, 1);
    weight(f, "model.layers.0.mlp.experts.down_proj_scales", U8, 3, 2, 8, 1);
}

static const char *const configs[] = {
    "{\"architectures\":[\"Qwen3MoeForCausalLM\"]," LLAMA ",\"num_experts\":2,\"norm_topk_prob\":true}",
    "{\"architectures\":[\"DeepseekV2ForCausalLM\"]," LLAMA ",\"qk_nope_head_dim\":16,\"qk_rope_head_dim\":8,"
    "\"v_head_dim\":16,\"n_routed_experts\":2,\"scoring_func\":\"softmax\"}",
    "{\"architectures\":[\"GptOssForCausalLM\"]," LLAMA ",\"num_local_experts\":2,\"sliding_window\":16,"
    "\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":4,\"original_max_position_embeddings\":16}}",
    "{\"architectures\":[\"Phi3ForCausalLM\"]," LLAMA ",\"rope_scaling\":{\"type\":\"longrope\",\"long_factor\":"
    "[1,1,1,1,1,1,1,1],\"short_factor\":[1,1,1,1,1,1,1,1]},\"original_max_position_embeddings\":16}",
    "{\"architectures\":[\"Gemma3ForConditionalGeneration\"],\"text_config\":{" LLAMA "}}",
    "{\"architectures\":[\"LlamaForCausalLM\"]," LLAMA ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8}}",
    "{\"architectures\":[\"BertForSequenceClassification\"]," LLAMA ",\"id2label\":{\"0\":\"x\"}}",
    "{\"architectures\":[\"Llama4ForCausalLM\"]," LLAMA ",\"intermediate_size_mlp\":32,\"layer_types\":"
    "[\"full_attention\"]}",
};

int main(int argc, char **argv)
{
    static const char *const quantization[] = {
        "", ",\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32}",
        ",\"quantization_config\":{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":32}",
        ",\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[16,16]}",
    };
    if (argc != 2) return 2;
    for (int i = 0; i < 16; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/seed-%d", argv[1], i);
        FILE *f = fopen(path, "wb");
        if (!f) return 1;
        if (i < 8)
            llama(f, i / 4, i % 4, quantization[i % 4]);
        else
            other(f, configs[i - 8]);
        fclose(f);
    }
    return 0;
}
