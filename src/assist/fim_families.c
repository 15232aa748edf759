#include "assist/fim_families.h"

#include <stddef.h>

/* Sources: each model's card and paper. Bavarian et al. 2022 for PSM and SPM; "SantaCoder" (2023);
 * "StarCoder" (2023) and "StarCoder 2" (2024); "Code Llama" (2023), section 2.3; "DeepSeek-Coder"
 * (2024), section 3.1; "CodeGemma" (2024), section 3.2; "Qwen2.5-Coder" (2024), section 3.1. */
const struct fim_family fim_families[] = {
    {
        .name = "qwen2.5-coder",
        .order = FIM_PSM,
        .prefix = "<|fim_prefix|>",
        .suffix = "<|fim_suffix|>",
        .middle = "<|fim_middle|>",
        .mark = "<|file_sep|>",
        .repo = "<|repo_name|>",
        .file = "<|file_sep|>",
        .stop = {"<|fim_pad|>", "<|endoftext|>", "<|im_end|>", "<|im_start|>"},
    },
    {
        .name = "codegemma",
        .order = FIM_PSM,
        .always_bos = true,
        .prefix = "<|fim_prefix|>",
        .suffix = "<|fim_suffix|>",
        .middle = "<|fim_middle|>",
        .mark = "<|file_separator|>",
        .file = "<|file_separator|>",
        .stop = {"<eos>", "<end_of_turn>"},
    },
    {
        .name = "granite-4",
        .order = FIM_PSM,
        .prefix = "<|fim_prefix|>",
        .suffix = "<|fim_suffix|>",
        .middle = "<|fim_middle|>",
        .stop = {"<|fim_pad|>", "<|end_of_text|>", "<|endoftext|>", "<|filename|>",
                 "<|start_of_role|>"},
    },
    {
        /* What the tokens are called is not where they stand: the prefix follows "begin", the
         * suffix "hole", and the middle is generated after "end". */
        .name = "deepseek-coder",
        .order = FIM_PSM,
        .always_bos = true,
        .prefix = "<｜fim▁begin｜>",
        .suffix = "<｜fim▁hole｜>",
        .middle = "<｜fim▁end｜>",
        .stop = {"<｜end▁of▁sentence｜>", "<|EOT|>"},
    },
    {
        .name = "codellama",
        .order = FIM_PSM,
        .always_bos = true,
        .prefix = "▁<PRE>",
        .suffix = "▁<SUF>",
        .middle = "▁<MID>",
        .stop = {"▁<EOT>", "</s>"},
    },
    {
        /* The same model, converted without SentencePiece's word mark. */
        .name = "codellama",
        .order = FIM_PSM,
        .always_bos = true,
        .prefix = "<PRE>",
        .suffix = "<SUF>",
        .middle = "<MID>",
        .stop = {"<EOT>", "</s>"},
    },
    {
        .name = "starcoder2",
        .order = FIM_PSM,
        .prefix = "<fim_prefix>",
        .suffix = "<fim_suffix>",
        .middle = "<fim_middle>",
        .mark = "<file_sep>",
        .repo = "<repo_name>",
        .file = "<file_sep>",
        .stop = {"<fim_pad>", "<|endoftext|>"},
    },
    {
        .name = "starcoder",
        .order = FIM_PSM,
        .prefix = "<fim_prefix>",
        .suffix = "<fim_suffix>",
        .middle = "<fim_middle>",
        .repo = "<reponame>",
        .file = "<filename>",
        .stop = {"<fim_pad>", "<|endoftext|>"},
    },
    {
        .name = "santacoder",
        .order = FIM_PSM,
        .prefix = "<fim-prefix>",
        .suffix = "<fim-suffix>",
        .middle = "<fim-middle>",
        .stop = {"<fim-pad>", "<|endoftext|>"},
    },
    {
        .name = "codestral",
        .order = FIM_SPM,
        .always_bos = true,
        .prefix = "[PREFIX]",
        .suffix = "[SUFFIX]",
        .stop = {"[MIDDLE]", "</s>"},
    },
    {.name = NULL},
};
