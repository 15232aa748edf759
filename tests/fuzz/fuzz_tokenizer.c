/* libFuzzer target: a vocabulary and a text from one input. What is encoded must decode to the text,
 * wherever the vocabulary has all of its bytes.
 *
 * (Kinds that normalise need not give the text back.)
 *
 * Input: kind, pre-tokenizer, flags, then records of a length byte, a tag byte and that many bytes:
 * tags with the top bit are merges, others a token's type; a record of length 255 ends the list, and
 * the rest is the text. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/pretok.h"
#include "vocab_make.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FLAG_BYTES = 1, FLAG_CHARACTERS = 2, FLAG_SPECIALS = 4, FLAG_PREFIX = 8, FLAG_IGNORE = 16,
       FLAG_STRIP = 32, FLAG_JOINS = 64, FLAG_NO_SCORES = 128 };

static size_t n_families(void)
{
    size_t n = 0;
    while (pretok_at(n)) n++;
    return n;
}

/* Returns the rest of the input. */
static const uint8_t *read_records(struct made_vocab *m, const uint8_t *p, const uint8_t *end)
{
    while (end - p >= 2 && p[0] != 255) {
        size_t len = p[0];
        uint8_t tag = p[1];
        p += 2;
        if (len > (size_t)(end - p)) len = (size_t)(end - p);
        if (tag & 0x80) {
            char line[256];
            memcpy(line, p, len);
            line[len] = 0;
            made_merge(m, line);
        } else {
            made_token_bytes(m, (const char *)p, len, (enum token_type)(tag % 8), (float)(tag >> 3));
        }
        p += len;
    }
    return p < end ? p + 1 : p;
}

/* Joins of two letters only, so that texts made of those merge again and again. */
static void add_joins(struct made_vocab *m)
{
    static const char *const lines[] = {"a a", "b a", "a b", "aa a", "ab a", "ba ab", "aa aa", "b b"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char text[8];
        int left = (int)strcspn(lines[i], " ");
        snprintf(text, sizeof text, "%.*s%s", left, lines[i], lines[i] + left + 1);
        made_token(m, text, TOKEN_NORMAL, (float)(i % 3));
        made_merge(m, lines[i]);
    }
}

static bool has_all_bytes(const struct tokenizer *t, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!tokenizer_has_byte(t, (uint8_t)text[i])) return false;
    return tokenizer_has_byte(t, ' ');
}

static void use(const struct tokenizer *t, const char *text, size_t len)
{
    size_t n = tokenizer_n_tokens(t);
    for (int special = 0; special < 2; special++) {
        struct token_list ids = {0};
        struct error err = {0};
        enum status st = tokenizer_encode_raw(t, text, len, special, &ids, &err);
        if (st != OK && st != ERR_UNSUPPORTED) __builtin_trap();
        for (size_t i = 0; i < ids.len; i++) {
            char piece[16];
            if ((size_t)ids.ids[i] >= n) __builtin_trap();
            if (!special && tokenizer_type(t, ids.ids[i]) == TOKEN_CONTROL) __builtin_trap();
            tokenizer_piece(t, ids.ids[i], special, piece, sizeof piece);
            tokenizer_is_end(t, ids.ids[i]);
        }
        token_list_fini(&ids);
        bool exact = has_all_bytes(t, text, len) &&
                     !(special && tokenizer_source(t)->strip_after_special);
        if (exact && !round_trips(t, text, len, special)) __builtin_trap();
    }
}

/* The first bytes of the text as a table of replacements, with its length put right. */
static char *take_charsmap(struct made_vocab *m, const uint8_t **text, const uint8_t *end)
{
    if (strcmp(m->src.model, "t5") != 0 || end - *text < 4) return NULL;
    size_t units = (*text)[0], ends = 1 + (*text)[1], len = 4 + 4 * units + ends;
    if (units == 0 || len > (size_t)(end - *text)) return NULL;
    char *map = malloc(len);
    if (!map) abort();
    memcpy(map, *text, len);
    memcpy(map, (uint8_t[]){(uint8_t)(4 * units), (uint8_t)(4 * units >> 8), 0, 0}, 4);
    map[len - 1] = 0;
    m->src.charsmap = (struct text_str){map, len};
    *text += len;
    return map;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const models[] = {"gpt2", "llama", "gemma4", "bert", "t5"};
    enum { N_MODELS = sizeof models / sizeof models[0] };
    if (size < 3) return 0;
    uint8_t flags = data[2];
    struct made_vocab m;
    made_init(&m, models[data[0] % N_MODELS], pretok_at(data[1] % n_families())->name);
    m.src.add_space_prefix = flags & FLAG_PREFIX;
    m.src.ignore_merges = flags & FLAG_IGNORE;
    m.src.strip_after_special = flags & FLAG_STRIP;
    if (flags & FLAG_BYTES) made_all_bytes(&m);
    if (flags & FLAG_CHARACTERS) made_characters(&m);
    if (flags & FLAG_JOINS) add_joins(&m);
    if (flags & FLAG_SPECIALS) made_specials(&m);
    m.src.unk = data[0] / N_MODELS - 10;
    m.src.lowercase = flags & FLAG_PREFIX;
    m.src.strip_accents = flags & FLAG_IGNORE;
    m.src.remove_extra_spaces = flags & FLAG_STRIP;
    const uint8_t *text = read_records(&m, data + 3, data + size);
    char *map = take_charsmap(&m, &text, data + size);
    if (flags & FLAG_NO_SCORES) m.src.scores = NULL;

    struct tokenizer *t = NULL;
    struct error err = {0};
    enum status st = tokenizer_create(&m.src, &t, &err);
    if (st == OK)
        use(t, (const char *)text, (size_t)(data + size - text));
    else if (t || err.code != st || !err.msg[0])
        __builtin_trap();
    tokenizer_destroy(t);
    free(map);
    made_fini(&m);
    return 0;
}
