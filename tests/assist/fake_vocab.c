#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fake_vocab.h"

static void add(struct fake_vocab *v, const char *text, enum token_type type)
{
    size_t n = v->source.n_tokens++;
    v->tokens[n] = (struct text_str){text, strlen(text)};
    v->types[n] = (uint8_t)type;
    v->scores[n] = 0;
}

static void finish(struct fake_vocab *v, const struct fake_token *extra, int bos, int eos)
{
    size_t base = v->source.n_tokens;
    for (; extra->text; extra++) add(v, extra->text, extra->type);
    v->source.tokens = v->tokens;
    v->source.types = v->types;
    v->source.bos = bos < 0 ? TOKEN_NONE : (int32_t)base + bos;
    v->source.eos = eos < 0 ? TOKEN_NONE : (int32_t)base + eos;
    v->source.eot = v->source.unk = v->source.pad = TOKEN_NONE;
    v->source.fim_pre = v->source.fim_suf = v->source.fim_mid = TOKEN_NONE;
    v->source.fim_pad = v->source.fim_rep = v->source.fim_sep = TOKEN_NONE;
    struct error err = {0};
    if (tokenizer_create(&v->source, &v->tokenizer, &err)) fail_msg("%s", err.msg);
}

/* GPT-2 spells bytes that do not print as characters from U+0100 on, in the order of the bytes. */
void fake_vocab_bpe(struct fake_vocab *v, const struct fake_token *extra, int bos, int eos)
{
    *v = (struct fake_vocab){.source = {.model = "gpt2", .pre = "gpt-2"}};
    unsigned shifted = 0;
    for (unsigned b = 0; b < 256; b++) {
        bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        unsigned c = itself ? b : 256 + shifted++;
        char *name = v->names[b];
        if (c < 128) {
            name[0] = (char)c;
        } else {
            name[0] = (char)(0xC0 | c >> 6);
            name[1] = (char)(0x80 | (c & 63));
        }
        add(v, name, TOKEN_NORMAL);
    }
    finish(v, extra, bos, eos);
}

void fake_vocab_spm(struct fake_vocab *v, const struct fake_token *extra, int bos, int eos)
{
    *v = (struct fake_vocab){.source = {.model = "llama", .add_space_prefix = true}};
    for (unsigned b = 0; b < 256; b++) {
        snprintf(v->names[b], sizeof v->names[b], "<0x%02X>", b);
        add(v, v->names[b], TOKEN_BYTE);
    }
    add(v, "\xE2\x96\x81", TOKEN_NORMAL);
    v->source.scores = v->scores;
    finish(v, extra, bos, eos);
}

void fake_vocab_fini(struct fake_vocab *v)
{
    tokenizer_destroy(v->tokenizer);
    v->tokenizer = NULL;
}
