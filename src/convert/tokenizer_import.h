/* A Hugging Face folder's tokenizer as the metadata of a GGUF file.
 *
 * Read are, where they are there: tokenizer.json (BPE, WordPiece, Unigram); else tokenizer.model or
 * sentencepiece.bpe.model (SentencePiece); else vocab.txt (WordPiece) or vocab.json with merges.txt;
 * and beside it config.json, tokenizer_config.json, special_tokens_map.json, added_tokens.json,
 * generation_config.json, chat_template.jinja, chat_template.json and additional_chat_templates/.
 *
 * Written are the keys tokenizer.* that llama.cpp's converter writes for the same folder, with the
 * same values (its gguf-py/gguf/vocab.py and conversion/), and the ids of the fill-in-the-middle
 * tokens, found by the tokens' texts. */
#ifndef HEARTH_CONVERT_TOKENIZER_IMPORT_H
#define HEARTH_CONVERT_TOKENIZER_IMPORT_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct gguf_writer;

/* Zero-initialise. */
struct tokenizer_import_options {
    const char *pre; /* tokenizer.ggml.pre, instead of recognising it; NULL: recognise */
};

/* What was found, for the caller to tell. */
struct tokenizer_import_info {
    char model[16];    /* tokenizer.ggml.model */
    char pre[64];      /* tokenizer.ggml.pre */
    char source[64];   /* the file that the tokens are from */
    size_t n_tokens;   /* with padding */
    size_t n_padding;  /* tokens that the tokenizer lacks and config.json's vocab_size counts */
    size_t n_merges;
    size_t n_templates;
    int32_t fim_pre, fim_suf, fim_mid; /* -1 where there is none */
};

/* Adds the keys to a writer whose description has begun. arch: general.architecture of the file to be
 * written ("llama", "gemma2", "bert", ...), which decides between conventions that the files do not
 * tell. options and info may be NULL. Nothing is added on an error before everything is read.
 *
 * ERR_NOT_FOUND where the folder has no tokenizer, ERR_FORMAT for files that break their formats'
 * rules, ERR_UNSUPPORTED for a kind of tokenizer that is not known, or a pre-tokenizer whose
 * structure is in no registry (the message says how to name one), ERR_LIMIT past a file's maximum.
 * The message names the file. */
enum status tokenizer_import(const char *folder, const char *arch,
                             const struct tokenizer_import_options *options, struct gguf_writer *w,
                             struct tokenizer_import_info *info, struct error *err);

#endif
