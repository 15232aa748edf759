#include "convert/tokenizer_draft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "convert/json_text.h"

const char *const draft_role_names[ROLE_COUNT] = {
    "bos", "eos", "unk", "sep", "pad", "cls", "mask", "eot", "eom",
};

struct draft_chunk {
    struct draft_chunk *next;
    size_t used, size;
    char data[];
};

void draft_init(struct draft *d, const char *folder, const char *arch)
{
    *d = (struct draft){.folder = folder, .arch = arch ? arch : "", .token_types = -1};
    d->add_bos = d->add_eos = d->add_sep = d->add_space_prefix = FLAG_OPEN;
    d->remove_extra_spaces = d->lowercase = d->strip_accents = FLAG_OPEN;
    for (size_t i = 0; i < ROLE_COUNT; i++) d->ids[i] = TOKEN_NONE;
    buf_init(&d->file, (size_t)DRAFT_MAX_FILE_MIB << 20);
}

void draft_fini(struct draft *d)
{
    json_t *roots[] = {d->tokenizer, d->config,     d->tokenizer_config, d->special_map,
                       d->added,     d->generation, d->vocab_json,       d->template_json};
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) json_decref(roots[i]);
    for (struct draft_chunk *c = d->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    buf_fini(&d->file);
    free(d->tokens);
    free(d->by_text);
    free(d->merges);
}

/* ---- files ---- */

static enum status path_of(const struct draft *d, const char *name, char *dst, size_t cap,
                           struct error *err)
{
    int n = snprintf(dst, cap, "%s/%s", d->folder, name);
    if (n < 0 || (size_t)n >= cap)
        return error_set(err, ERR_LIMIT, "%s: the path is too long", d->folder);
    return OK;
}

bool draft_has_file(const struct draft *d, const char *name)
{
    char path[4096];
    return path_of(d, name, path, sizeof path, NULL) == OK && file_exists(path);
}

static enum status read_into(const struct draft *d, const char *name, struct buf *out,
                             struct error *err)
{
    char path[4096];
    enum status st = path_of(d, name, path, sizeof path, err);
    if (st) return st;
    if (!file_exists(path)) return error_set(err, ERR_NOT_FOUND, "%s: there is no such file", path);
    return file_read_all(path, out, err);
}

enum status draft_read_file(struct draft *d, const char *name, struct error *err)
{
    buf_clear(&d->file);
    return read_into(d, name, &d->file, err);
}

enum status draft_read_json(const struct draft *d, const char *name, json_t **out,
                            struct error *err)
{
    *out = NULL;
    if (!draft_has_file(d, name)) return OK;
    struct buf text;
    json_error_t why;
    buf_init(&text, (size_t)DRAFT_MAX_FILE_MIB << 20);
    enum status st = read_into(d, name, &text, err);
    json_t *root = st == OK ? json_text_parse(text.data ? text.data : "", text.len, JSON_ALLOW_NUL, &why) : NULL;
    if (st == OK && !root) {
        bool memory = !why.text[0]; /* of memory that runs out jansson says nothing */
        st = memory ? error_set(err, ERR_NOMEM, "out of memory")
                    : error_set(err, ERR_FORMAT, "%s/%s: no valid JSON: %s (line %d)", d->folder,
                                name, why.text, why.line);
    } else if (st == OK && !json_is_object(root)) {
        st = error_set(err, ERR_FORMAT, "%s/%s: no JSON object", d->folder, name);
    }
    buf_fini(&text);
    if (st) {
        json_decref(root);
        return st;
    }
    *out = root;
    return OK;
}

/* ---- memory ---- */

char *draft_alloc(struct draft *d, size_t n)
{
    if (!d->chunks || d->chunks->size - d->chunks->used < n) {
        size_t size = n > 65536 ? n : 65536;
        struct draft_chunk *c = malloc(sizeof *c + size);
        if (!c) return NULL;
        *c = (struct draft_chunk){.next = d->chunks, .size = size};
        d->chunks = c;
    }
    char *p = d->chunks->data + d->chunks->used;
    d->chunks->used += n;
    return p;
}

enum status draft_copy(struct draft *d, const char *text, size_t len, struct text_str *out,
                       struct error *err)
{
    char *p = draft_alloc(d, len + 1);
    if (!p) return error_set(err, ERR_NOMEM, "out of memory");
    memcpy(p, text, len);
    p[len] = 0;
    *out = (struct text_str){p, len};
    return OK;
}

/* ---- tokens and merges ---- */

enum status draft_grow(struct draft *d, size_t n, struct error *err)
{
    if (n > DRAFT_MAX_TOKENS)
        return error_set(err, ERR_LIMIT, "%s: a vocabulary of %zu tokens is too large (%d at most)",
                         d->folder, n, DRAFT_MAX_TOKENS);
    if (n <= d->n_tokens) return OK;
    if (n > d->cap) {
        size_t cap = n + n / 2 + 256;
        struct draft_token *tokens = realloc(d->tokens, cap * sizeof *tokens);
        if (!tokens) return error_set(err, ERR_NOMEM, "out of memory");
        d->tokens = tokens;
        d->cap = cap;
    }
    memset(d->tokens + d->n_tokens, 0, (n - d->n_tokens) * sizeof *d->tokens);
    d->n_tokens = n;
    d->sorted = false;
    return OK;
}

enum status draft_put(struct draft *d, int64_t id, struct text_str text, enum token_type type,
                      float score, struct error *err)
{
    if (id < 0 || id >= DRAFT_MAX_TOKENS)
        return error_set(err, ERR_FORMAT, "%s/%s: token id %lld is out of range", d->folder,
                         d->source, (long long)id);
    if (text.len > DRAFT_MAX_TOKEN_BYTES)
        return error_set(err, ERR_LIMIT, "%s/%s: token %lld is %zu bytes long", d->folder,
                         d->source, (long long)id, text.len);
    enum status st = draft_grow(d, (size_t)id + 1, err);
    if (st) return st;
    struct draft_token *t = &d->tokens[id];
    t->text = text;
    t->type = (uint8_t)type;
    t->score = score;
    d->sorted = false;
    return OK;
}

enum status draft_add_merge(struct draft *d, struct text_str line, struct error *err)
{
    if (d->n_merges == d->merges_cap) {
        size_t cap = d->merges_cap ? 2 * d->merges_cap : 1024;
        if (cap > DRAFT_MAX_MERGES)
            return error_set(err, ERR_LIMIT, "%s/%s: too many merges (%d at most)", d->folder,
                             d->source, DRAFT_MAX_MERGES);
        struct text_str *merges = realloc(d->merges, cap * sizeof *merges);
        if (!merges) return error_set(err, ERR_NOMEM, "out of memory");
        d->merges = merges;
        d->merges_cap = cap;
    }
    d->merges[d->n_merges++] = line;
    return OK;
}

static int compare(struct text_str a, struct text_str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.data, b.data, n) : 0;
    return order ? order : a.len < b.len ? -1 : a.len > b.len;
}

static int by_text(const void *a, const void *b, void *tokens)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    const struct draft_token *t = tokens;
    int order = compare(t[x].text, t[y].text);
    return order ? order : x < y ? -1 : x > y;
}

static enum status sort(struct draft *d, struct error *err)
{
    int32_t *ids = realloc(d->by_text, (d->n_tokens ? d->n_tokens : 1) * sizeof *ids);
    if (!ids) return error_set(err, ERR_NOMEM, "out of memory");
    d->by_text = ids;
    for (size_t i = 0; i < d->n_tokens; i++) ids[i] = (int32_t)i;
    qsort_r(ids, d->n_tokens, sizeof *ids, by_text, d->tokens);
    d->sorted = true;
    return OK;
}

enum status draft_find(struct draft *d, struct text_str text, int32_t *id, struct error *err)
{
    *id = TOKEN_NONE;
    if (!text.data) return OK;
    enum status st = d->sorted ? OK : sort(d, err);
    if (st) return st;
    size_t low = 0, high = d->n_tokens; /* the first that is greater */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare(d->tokens[d->by_text[mid]].text, text) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 0) return OK;
    const struct draft_token *t = &d->tokens[d->by_text[low - 1]];
    if (t->text.data && compare(t->text, text) == 0) *id = d->by_text[low - 1];
    return OK;
}

/* ---- JSON ---- */

struct text_str draft_json_text(const json_t *j)
{
    return (struct text_str){json_string_value(j), json_string_length(j)};
}

struct text_str draft_json_content(const json_t *object, const char *key)
{
    const json_t *j = json_object_get(object, key);
    return draft_json_text(json_is_object(j) ? json_object_get(j, "content") : j);
}

const json_t *draft_config(const struct draft *d, const char *key)
{
    static const char *const parts[] = {"text_config", "llm_config", "lm_config"};
    const json_t *j = json_object_get(d->config, key);
    for (size_t i = 0; i < 3 && (!j || json_is_null(j)); i++)
        j = json_object_get(json_object_get(d->config, parts[i]), key);
    return j;
}

bool draft_text_is(struct text_str a, const char *b)
{
    return a.data && a.len == strlen(b) && memcmp(a.data, b, a.len) == 0;
}

const char *draft_json_type(const json_t *j)
{
    const char *s = json_string_value(json_object_get(j, "type"));
    return s ? s : "";
}
