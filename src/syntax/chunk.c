/* From cuts to chunks. */
#include "syntax/chunk.h"

#include <stdlib.h>
#include <string.h>

#include "syntax/syntax_int.h"

enum { SMALL_REST = 8 }; /* bytes of closing brackets and the like that make no chunk */

const char *syntax_kind_name(enum syntax_kind k)
{
    static const char *const names[SYNTAX_N_KINDS] = {
        [SYNTAX_KIND_TEXT] = "text",           [SYNTAX_KIND_IMPORTS] = "imports",
        [SYNTAX_KIND_FUNCTION] = "function",   [SYNTAX_KIND_METHOD] = "method",
        [SYNTAX_KIND_CLASS] = "class",         [SYNTAX_KIND_STRUCT] = "struct",
        [SYNTAX_KIND_UNION] = "union",         [SYNTAX_KIND_ENUM] = "enum",
        [SYNTAX_KIND_INTERFACE] = "interface", [SYNTAX_KIND_TRAIT] = "trait",
        [SYNTAX_KIND_IMPL] = "impl",           [SYNTAX_KIND_TYPE] = "type",
        [SYNTAX_KIND_MODULE] = "module",       [SYNTAX_KIND_MACRO] = "macro",
        [SYNTAX_KIND_VARIABLE] = "variable",   [SYNTAX_KIND_CONSTANT] = "constant",
        [SYNTAX_KIND_FIELD] = "field",         [SYNTAX_KIND_PROPERTY] = "property",
        [SYNTAX_KIND_RULE] = "rule",           [SYNTAX_KIND_TABLE] = "table",
        [SYNTAX_KIND_ELEMENT] = "element",     [SYNTAX_KIND_SECTION] = "section",
    };
    return (unsigned)k < SYNTAX_N_KINDS ? names[k] : "text";
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

void syntax_cut_add(struct syntax_build *b, struct syntax_cut cut)
{
    struct syntax_cuts *c = &b->cuts;
    uint32_t begin = cut.begin < b->len ? cut.begin : b->len;
    uint32_t line = begin;
    while (line > 0 && (b->text[line - 1] == ' ' || b->text[line - 1] == '\t')) line--;
    if (line == 0 || b->text[line - 1] == '\n')
        begin = line;
    else if (begin - (c->len ? c->items[c->len - 1].begin : 0) <= b->max_bytes)
        return;
    if (cut.own)
        while (c->len && c->items[c->len - 1].begin >= begin && !c->items[c->len - 1].own) c->len--;
    if (c->len && c->items[c->len - 1].begin >= begin) return;
    cut.begin = begin;
    if (c->failed) return;
    if (c->len == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 64;
        struct syntax_cut *p = realloc(c->items, cap * sizeof *p);
        if (!p) {
            c->failed = b->failed = true;
            return;
        }
        c->items = p;
        c->cap = cap;
    }
    c->items[c->len++] = cut;
}

/* ---- the plain splitter ---- */

static uint32_t indent_at(const char *text, uint32_t at, uint32_t end)
{
    uint32_t n = 0;
    while (at < end && (text[at] == ' ' || text[at] == '\t')) n += text[at++] == '\t' ? 4 : 1;
    return at < end && text[at] != '\n' && text[at] != '\r' ? n : UINT32_MAX;
}

uint32_t syntax_plain_cut(const char *text, uint32_t begin, uint32_t end, uint32_t max)
{
    if (end - begin <= max) return end;
    uint32_t stop = begin + max, half = begin + max / 2, last_line = 0;
    uint32_t best = 0, best_indent = UINT32_MAX;
    bool best_blank = false;
    for (uint32_t at = begin; at < stop;) {
        const char *nl = memchr(text + at, '\n', stop - at);
        if (!nl) break;
        uint32_t next = (uint32_t)(nl - text) + 1;
        if (next < stop || next == stop) last_line = next;
        if (next >= half && next < end) {
            /* A line after a blank one is better than others, then the least indented, then the last. */
            bool blank = indent_at(text, at, next) == UINT32_MAX;
            uint32_t indent = indent_at(text, next, end);
            bool better = best == 0 || (blank && !best_blank) ||
                          (blank == best_blank && indent <= best_indent);
            if (indent != UINT32_MAX && better) best = next, best_indent = indent, best_blank = blank;
        }
        at = next;
    }
    if (best) return best;
    if (last_line > begin) return last_line;
    /* One long line: between characters, at a blank where one is near. */
    uint32_t cut = stop;
    for (uint32_t i = stop; i > half; i--)
        if (is_blank(text[i - 1])) return i;
    for (int i = 0; i < 3 && cut > half && ((unsigned char)text[cut] & 0xC0) == 0x80; i++) cut--;
    return cut;
}

/* ---- chunks ---- */

static uint32_t solid_bytes(const char *text, uint32_t begin, uint32_t end, uint32_t enough)
{
    uint32_t n = 0;
    for (uint32_t i = begin; i < end && n < enough; i++) n += !is_blank(text[i]);
    return n;
}

/* True for what closes a definition and no more. */
static bool is_rest(const struct syntax_build *b, uint32_t begin, uint32_t end)
{
    uint32_t n = 0;
    for (uint32_t i = begin; i < end; i++) {
        unsigned char c = (unsigned char)b->text[i];
        if (is_blank((char)c)) continue;
        if (++n > SMALL_REST || c == '_' || c >= 0x80 || (c >= '0' && c <= '9') ||
            ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
            /* "end" of Ruby and Lua is a word, and a rest all the same. */
            return n <= 1 && end - i >= 3 && memcmp(b->text + i, "end", 3) == 0 &&
                   solid_bytes(b->text, i, end, 6) <= 5;
    }
    return true;
}

static void add_chunk(struct syntax_build *b, const struct syntax_cut *c, uint32_t begin,
                      uint32_t end, bool named)
{
    while (begin < end && (b->text[begin] == '\n' || b->text[begin] == '\r')) begin++;
    if (solid_bytes(b->text, begin, end, 1) == 0) return;
    if (!syntax_room(b, (void **)&b->chunks, &b->cap_chunks, b->n_chunks, SYNTAX_MAX_CHUNKS,
                     sizeof *b->chunks))
        return;
    const struct syntax_definition *d = c->owner >= 0 ? &b->definitions[c->owner] : NULL;
    struct syntax_chunk *out = &b->chunks[b->n_chunks++];
    *out = (struct syntax_chunk){.begin = begin, .end = end, .kind = c->kind, .n_parts = 1,
                                 .name = "", .scope = "", .signature = "", .doc = ""};
    if (!d) return;
    out->scope = d->scope;
    if (!named) {
        /* Neighbours that were joined: what they have in common is where they are. */
        out->kind = SYNTAX_KIND_TEXT;
        return;
    }
    out->kind = d->kind;
    out->name = d->name;
    out->signature = d->signature;
    out->doc = b->docs[c->owner];
}

/* Chunks of one definition tell how many they are: the counts come from a pass over the owners. */
static void number_parts(struct syntax_build *b, const int32_t *owners)
{
    if (b->n_definitions == 0) return;
    uint16_t *count = calloc(b->n_definitions, sizeof *count);
    if (!count) {
        b->failed = true;
        return;
    }
    for (size_t i = 0; i < b->n_chunks; i++)
        if (owners[i] >= 0 && count[owners[i]] < UINT16_MAX) {
            b->chunks[i].part = count[owners[i]];
            count[owners[i]]++;
        }
    for (size_t i = 0; i < b->n_chunks; i++)
        if (owners[i] >= 0) b->chunks[i].n_parts = count[owners[i]];
    free(count);
}

static void number_lines(struct syntax_build *b)
{
    uint32_t line = 1, at = 0;
    for (size_t i = 0; i < b->n_chunks; i++) {
        struct syntax_chunk *c = &b->chunks[i];
        const char *nl;
        while (at < c->begin && (nl = memchr(b->text + at, '\n', c->begin - at)) != NULL) {
            at = (uint32_t)(nl - b->text) + 1;
            line++;
        }
        at = c->begin;
        c->begin_line = line;
        /* Blank lines at the end are no part of it. */
        uint32_t end = c->end;
        while (end > c->begin && is_blank(b->text[end - 1])) end--;
        const char *keep = b->text + end;
        nl = memchr(keep, '\n', c->end - end);
        c->end = nl ? (uint32_t)(nl - b->text) + 1 : c->end;
        while (at < end && (nl = memchr(b->text + at, '\n', end - at)) != NULL) {
            at = (uint32_t)(nl - b->text) + 1;
            line++;
        }
        at = end;
        c->end_line = line;
    }
}

struct group {
    struct syntax_cut first;
    uint32_t begin, end;
    bool named; /* one definition, or parts of one */
};

static bool joins(const struct syntax_build *b, const struct group *g, const struct syntax_cut *next,
                  uint32_t next_end)
{
    if (is_rest(b, next->begin, next_end) && !next->own) return true;
    if (next->hard || g->first.whole) return false;
    if (next_end - g->begin > b->target_bytes) return false;
    /* Imports stay together, apart from code. */
    return (g->first.kind == SYNTAX_KIND_IMPORTS) == (next->kind == SYNTAX_KIND_IMPORTS) ||
           solid_bytes(b->text, g->begin, g->end, 64) < 64;
}

static bool note_owner(struct syntax_build *b, int32_t **owners, size_t *cap, size_t from,
                       int32_t owner)
{
    if (b->n_chunks > *cap) {
        size_t n = b->cap_chunks;
        int32_t *p = realloc(*owners, n * sizeof *p);
        if (!p) {
            b->failed = true;
            return false;
        }
        *owners = p;
        *cap = n;
    }
    for (size_t i = from; i < b->n_chunks; i++) (*owners)[i] = owner;
    return true;
}

void syntax_chunks_make(struct syntax_build *b)
{
    struct syntax_cut whole_text = {.begin = 0, .owner = -1, .kind = SYNTAX_KIND_TEXT};
    struct syntax_cuts *c = &b->cuts;
    int32_t *owners = NULL;
    size_t cap_owners = 0, i = 0;
    /* What stands before the first cut is text of its own. */
    bool ahead = c->len == 0 || c->items[0].begin > 0;
    while ((ahead || i < c->len) && !b->failed) {
        struct group g = {.first = ahead ? whole_text : c->items[i]};
        if (!ahead) i++;
        ahead = false;
        g.begin = g.first.begin;
        g.end = i < c->len ? c->items[i].begin : b->len;
        g.named = g.first.owner >= 0 && (g.first.own || b->definitions[g.first.owner].kind != SYNTAX_KIND_MODULE);
        while (i < c->len) {
            const struct syntax_cut *next = &c->items[i];
            uint32_t end = i + 1 < c->len ? c->items[i + 1].begin : b->len;
            if (!joins(b, &g, next, end)) break;
            if (next->own && !g.first.hard) g.named = false;
            if (next->kind == SYNTAX_KIND_IMPORTS && g.first.kind == SYNTAX_KIND_TEXT) g.first.kind = next->kind;
            g.end = end;
            i++;
        }
        size_t from = b->n_chunks;
        for (uint32_t at = g.begin; at < g.end && !b->failed;) {
            uint32_t end = syntax_plain_cut(b->text, at, g.end, b->max_bytes);
            add_chunk(b, &g.first, at, end, g.named);
            at = end;
        }
        note_owner(b, &owners, &cap_owners, from, g.named ? g.first.owner : -1);
    }
    if (!b->failed && b->n_chunks) {
        number_parts(b, owners);
        number_lines(b);
    }
    free(owners);
}
