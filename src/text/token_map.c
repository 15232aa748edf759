#include <stdlib.h>
#include <string.h>

#include "text/tokenizer_int.h"

/* A file can be made so that its texts collide; no honest vocabulary comes near this. */
enum { MAX_PROBES = 1024 };

static uint64_t load64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint32_t load32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    return x ^ x >> 32;
}

/* Up to eight bytes: the bytes themselves, little end first, read without a loop by overlapping
 * loads. Longer: a hash. */
static uint64_t text_key(const char *p, size_t n)
{
    if (n <= 8) {
        if (n >= 4) return load32(p) | (uint64_t)load32(p + n - 4) << 8 * (n - 4);
        if (n == 0) return 0;
        const unsigned char *u = (const unsigned char *)p;
        return u[0] | (uint64_t)u[n / 2] << 8 * (n / 2) | (uint64_t)u[n - 1] << 8 * (n - 1);
    }
    uint64_t h = n * 0x9E3779B97F4A7C15u;
    size_t i = 0;
    for (; i + 8 < n; i += 8) h = mix(h ^ load64(p + i));
    return mix(h ^ load64(p + n - 8));
}

static size_t home(const struct token_map *m, uint64_t key, size_t len)
{
    return (size_t)mix(key + len * 0x9E3779B97F4A7C15u) & m->mask;
}

static bool same(const struct token_map *m, const struct token_slot *s, uint64_t key,
                 const char *text, size_t len)
{
    return s->key == key && s->len == len &&
           (len <= 8 || memcmp(m->tokens[s->id].data, text, len) == 0);
}

struct token_probe token_map_probe(const struct token_map *m, const char *text, size_t len)
{
    uint64_t key = text_key(text, len);
    size_t slot = home(m, key, len);
    __builtin_prefetch(&m->slots[slot], 1);
    return (struct token_probe){text, len, key, slot};
}

int32_t token_map_finish(const struct token_map *m, const struct token_probe *p)
{
    if (p->len == 0) return TOKEN_NONE;
    for (size_t i = p->slot; m->slots[i].id >= 0; i = (i + 1) & m->mask)
        if (same(m, &m->slots[i], p->key, p->text, p->len)) return m->slots[i].id;
    return TOKEN_NONE;
}

int32_t token_map_find(const struct token_map *m, const char *text, size_t len)
{
    if (len > m->max_len) return TOKEN_NONE;
    struct token_probe p = token_map_probe(m, text, len);
    return token_map_finish(m, &p);
}

static bool insert(struct token_map *m, const struct token_probe *p, int32_t id)
{
    size_t i = p->slot, probes = 0;
    while (m->slots[i].id >= 0 && !same(m, &m->slots[i], p->key, p->text, p->len)) {
        if (++probes > MAX_PROBES) return false;
        i = (i + 1) & m->mask;
    }
    m->slots[i] = (struct token_slot){p->key, id, (uint32_t)p->len};
    return true;
}

enum status token_map_build(struct token_map *m, const struct text_str *tokens, size_t n,
                            struct error *err)
{
    size_t size = 16;
    while (size < n + n / 2) size *= 2;
    m->slots = malloc(size * sizeof *m->slots);
    if (!m->slots) return error_set(err, ERR_NOMEM, "out of memory");
    memset(m->slots, 0xFF, size * sizeof *m->slots);
    m->mask = size - 1;
    m->tokens = tokens;
    struct token_probe batch[32];
    size_t n_batch = sizeof batch / sizeof batch[0];
    for (size_t begin = 0; begin < n; begin += n_batch) {
        size_t end = begin + n_batch < n ? begin + n_batch : n;
        for (size_t id = begin; id < end; id++)
            batch[id - begin] = token_map_probe(m, tokens[id].data, tokens[id].len);
        for (size_t id = begin; id < end; id++) {
            if (tokens[id].len == 0) continue;
            if (tokens[id].len > m->max_len) m->max_len = tokens[id].len;
            if (!insert(m, &batch[id - begin], (int32_t)id))
                return error_set(err, ERR_FORMAT, "the vocabulary's texts are made to collide");
        }
    }
    return OK;
}

void token_map_fini(struct token_map *m)
{
    free(m->slots);
    *m = (struct token_map){0};
}
