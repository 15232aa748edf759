#include "assist/answers.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t place;  /* hash of all that has to agree */
    uint64_t place2; /* with another beginning: 128 bits together */
    char *text;      /* owned */
    size_t len;
    uint64_t used;
    bool ahead;
};

struct answers {
    struct entry *e; /* [max] */
    size_t n, max;
    uint64_t clock;
};

enum status answers_create(size_t max, struct answers **out, struct error *err)
{
    struct answers *a = *out = calloc(1, sizeof *a);
    if (a) a->e = calloc(max ? max : 1, sizeof *a->e);
    if (a && a->e) {
        a->max = max ? max : 1;
        return OK;
    }
    free(a);
    *out = NULL;
    return error_set(err, ERR_NOMEM, "no memory for %zu completions", max);
}

void answers_destroy(struct answers *a)
{
    if (!a) return;
    for (size_t i = 0; i < a->n; i++) free(a->e[i].text);
    free(a->e);
    free(a);
}

/* FNV-1a, 64 bits. */
static uint64_t mix(uint64_t h, const void *data, size_t len)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++) h = (h ^ p[i]) * 1099511628211u;
    return h;
}

/* What agrees wherever in the answer the cursor stands. */
static uint64_t hash_around(const struct answer_place *at, uint64_t h)
{
    size_t n = at->suffix_len < ANSWERS_SUFFIX ? at->suffix_len : ANSWERS_SUFFIX;
    h = mix(h, &at->kind, sizeof at->kind);
    h = mix(h, at->path ? at->path : "", at->path ? strlen(at->path) + 1 : 1);
    h = mix(h, &n, sizeof n);
    return mix(h, at->suffix, n);
}

static uint64_t hash_before(const struct answer_place *at, size_t len, uint64_t h)
{
    size_t n = len < ANSWERS_PREFIX ? len : ANSWERS_PREFIX;
    return mix(h, at->prefix + len - n, n);
}

enum { OTHER = 0x5bd1e995 };
static const uint64_t first = 14695981039346656037u;

static struct entry *find(struct answers *a, uint64_t place, uint64_t place2)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->e[i].place == place && a->e[i].place2 == place2) return &a->e[i];
    return NULL;
}

enum status answers_put(struct answers *a, const struct answer_place *at, const char *text,
                        size_t len, bool ahead)
{
    if (len > ANSWERS_TEXT) return OK;
    uint64_t place = hash_before(at, at->prefix_len, hash_around(at, first));
    uint64_t place2 = hash_before(at, at->prefix_len, hash_around(at, first ^ OTHER));
    char *copy = malloc(len + 1);
    if (!copy) return ERR_NOMEM;
    if (len) memcpy(copy, text, len);
    copy[len] = 0;
    struct entry *e = find(a, place, place2);
    if (!e && a->n < a->max) {
        e = &a->e[a->n++];
        *e = (struct entry){0};
    } else if (!e) {
        e = a->e;
        for (size_t i = 1; i < a->n; i++)
            if (a->e[i].used < e->used) e = &a->e[i];
    }
    free(e->text);
    *e = (struct entry){place, place2, copy, len, ++a->clock, ahead};
    return OK;
}

bool answers_find(struct answers *a, const struct answer_place *at, struct answer *out)
{
    uint64_t around = hash_around(at, first), around2 = hash_around(at, first ^ OTHER);
    for (size_t chars = 0, typed = 0; chars <= ANSWERS_TYPED; chars++) {
        size_t len = at->prefix_len - typed;
        struct entry *e = find(a, hash_before(at, len, around), hash_before(at, len, around2));
        if (e && (e->len > typed || typed == 0) &&
            (typed == 0 || memcmp(e->text, at->prefix + len, typed) == 0)) {
            e->used = ++a->clock;
            *out = (struct answer){e->text + typed, e->len - typed, typed, e->ahead};
            return true;
        }
        do {
            if (typed == at->prefix_len) return false;
            typed++;
        } while (((unsigned char)at->prefix[at->prefix_len - typed] & 0xC0) == 0x80);
    }
    return false;
}

size_t answers_count(const struct answers *a)
{
    return a->n;
}
