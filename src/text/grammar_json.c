/* JSON (RFC 8259): the parts that schemas are made of too, and "any JSON" as a grammar of its own. */
#include <stdlib.h>
#include <string.h>

#include "text/grammar_int.h"
#include "text/grammar_regex.h"

enum { MAX_SPACE = 64 }; /* white space between two tokens: a model could write it without end */

static const char number[] = "-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?";

/* ---- strings ------------------------------------------------------------------------------------
 */

static void hex_edge(struct nfa *a, uint32_t from, uint32_t lo, uint32_t hi, uint32_t to)
{
    if (lo <= 9) nfa_edge(a, from, '0' + lo, '0' + (hi < 9 ? hi : 9), to);
    if (hi < 10) return;
    uint32_t l = lo > 10 ? lo - 10 : 0;
    nfa_edge(a, from, 'a' + l, 'a' + hi - 10, to);
    nfa_edge(a, from, 'A' + l, 'A' + hi - 10, to);
}

/* Numbers from lo to hi in n hexadecimal digits. */
static void hex_between(struct nfa *a, uint32_t from, uint32_t lo, uint32_t hi, int n, uint32_t to)
{
    uint32_t unit = 1u << 4 * (n - 1), first = lo / unit, last = hi / unit;
    if (a->budget->st != OK) return;
    if (n == 1) {
        hex_edge(a, from, lo, hi, to);
        return;
    }
    if (first == last) {
        uint32_t mid = nfa_state(a);
        hex_edge(a, from, first, first, mid);
        hex_between(a, mid, lo % unit, hi % unit, n - 1, to);
        return;
    }
    if (lo % unit != 0) {
        uint32_t mid = nfa_state(a);
        hex_edge(a, from, first, first, mid);
        hex_between(a, mid, lo % unit, unit - 1, n - 1, to);
        first++;
    }
    if (hi % unit != unit - 1) {
        uint32_t mid = nfa_state(a);
        hex_edge(a, from, last, last, mid);
        hex_between(a, mid, 0, hi % unit, n - 1, to);
        last--;
    }
    if (first <= last) {
        uint32_t mid = nfa_state(a);
        hex_edge(a, from, first, last, mid);
        hex_between(a, mid, 0, unit - 1, n - 1, to);
    }
}

/* \uXXXX from lo to hi, behind "\u". */
static void escaped_pair(struct nfa *a, uint32_t u, uint32_t high_lo, uint32_t high_hi, uint32_t low_lo,
                         uint32_t low_hi, uint32_t to)
{
    uint32_t high = nfa_state(a), low = nfa_state(a);
    hex_between(a, u, 0xD800 + high_lo, 0xD800 + high_hi, 4, high);
    nfa_bytes(a, high, "\\u", 2, low);
    hex_between(a, low, 0xDC00 + low_lo, 0xDC00 + low_hi, 4, to);
}

/* Behind "\u": the code points of a range, those beyond U+FFFF as two surrogates. */
static void escaped_all(struct nfa *a, uint32_t u, uint32_t lo, uint32_t hi, uint32_t to)
{
    if (lo <= 0xD7FF) hex_between(a, u, lo, hi < 0xD7FF ? hi : 0xD7FF, 4, to);
    if (hi >= 0xE000 && lo <= 0xFFFF)
        hex_between(a, u, lo > 0xE000 ? lo : 0xE000, hi < 0xFFFF ? hi : 0xFFFF, 4, to);
    if (hi < 0x10000) return;
    uint32_t l = lo > 0x10000 ? lo - 0x10000 : 0, h = hi - 0x10000;
    uint32_t first = l >> 10, last = h >> 10;
    if (first == last) {
        escaped_pair(a, u, first, last, l & 0x3FF, h & 0x3FF, to);
        return;
    }
    if (l & 0x3FF) {
        escaped_pair(a, u, first, first, l & 0x3FF, 0x3FF, to);
        first++;
    }
    if ((h & 0x3FF) != 0x3FF) {
        escaped_pair(a, u, last, last, 0, h & 0x3FF, to);
        last--;
    }
    if (first <= last) escaped_pair(a, u, first, last, 0, 0x3FF, to);
}

/* Printable ASCII is not spelled as \uXXXX where a text has to be a certain one, but for what some
 * writers escape: a model that went astray inside of a key would else go on so. */
static void escaped(struct nfa *a, uint32_t u, uint32_t lo, uint32_t hi, uint32_t to)
{
    static const uint32_t usual[][2] = {{0, 0x1F}, {'"', '"'}, {'&', '\''}, {'+', '+'}, {'/', '/'},
                                        {'<', '<'}, {'>', '>'}, {'\\', '\\'}, {'`', '`'},
                                        {0x7F, FA_MAX_POINT}};
    if (lo <= 0x20 && hi >= 0x7E) {
        escaped_all(a, u, lo, hi, to);
        return;
    }
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        uint32_t l = lo > usual[i][0] ? lo : usual[i][0], h = hi < usual[i][1] ? hi : usual[i][1];
        if (l <= h) escaped_all(a, u, l, h, to);
    }
}

static void clear(struct nfa *a, uint32_t from, uint32_t lo, uint32_t hi, uint32_t to)
{
    static const uint32_t allowed[][2] = {{0x20, '"' - 1}, {'"' + 1, '\\' - 1}, {'\\' + 1, FA_MAX_POINT}};
    for (size_t i = 0; i < 3; i++) {
        uint32_t l = lo > allowed[i][0] ? lo : allowed[i][0];
        uint32_t h = hi < allowed[i][1] ? hi : allowed[i][1];
        if (l <= h) nfa_utf8(a, from, l, h, to);
    }
}

void grammar_json_string(const struct dfa *d, struct nfa *a, uint32_t from, uint32_t to)
{
    static const char shorts[][2] = {{'"', '"'}, {'\\', '\\'}, {'/', '/'}, {'b', '\b'},
                                     {'f', '\f'}, {'n', '\n'}, {'r', '\r'}, {'t', '\t'}};
    if (d->n == 0) return;
    uint32_t base = (uint32_t)a->n;
    for (size_t i = 0; i < d->n; i++) nfa_state(a);
    if (a->budget->st != OK) return;
    nfa_edge(a, from, '"', '"', base);
    for (uint32_t i = 0; i < d->n && a->budget->st == OK; i++) {
        if (d->final[i]) nfa_edge(a, base + i, '"', '"', to);
        if (d->first[i] == d->first[i + 1]) continue;
        uint32_t slash = nfa_state(a), u = nfa_state(a);
        nfa_edge(a, base + i, '\\', '\\', slash);
        nfa_edge(a, slash, 'u', 'u', u);
        for (uint32_t e = d->first[i]; e < d->first[i + 1]; e++) {
            const struct dfa_edge *edge = &d->edges[e];
            clear(a, base + i, edge->lo, edge->hi, base + edge->to);
            escaped(a, u, edge->lo, edge->hi, base + edge->to);
            for (size_t k = 0; k < sizeof shorts / sizeof *shorts; k++) {
                uint32_t c = (unsigned char)shorts[k][1];
                if (edge->lo <= c && c <= edge->hi)
                    nfa_edge(a, slash, (unsigned char)shorts[k][0], (unsigned char)shorts[k][0],
                             base + edge->to);
            }
        }
    }
}

/* ---- values -------------------------------------------------------------------------------------
 */

uint32_t grammar_json_space(struct grammar_build *b)
{
    if (b->space != FA_NONE) return b->space;
    struct nfa a = {.budget = &b->budget};
    uint32_t at = nfa_state(&a), start = at, end = nfa_state(&a);
    for (int i = 0; i < MAX_SPACE; i++) {
        uint32_t next = nfa_state(&a);
        nfa_skip(&a, at, end);
        nfa_edge(&a, at, '\t', '\n', next);
        nfa_edge(&a, at, '\r', '\r', next);
        nfa_edge(&a, at, ' ', ' ', next);
        at = next;
    }
    nfa_skip(&a, at, end);
    b->space = grammar_rule_add(b);
    grammar_rule_define(b, b->space, &a, start, end);
    nfa_fini(&a);
    return b->space;
}

static uint32_t spaced(struct nfa *a, uint32_t from, uint32_t space)
{
    uint32_t to = nfa_state(a);
    nfa_call(a, from, space, to);
    return to;
}

/* open, items with commas between, close; `item` adds one from its first state to the second. */
static void list(struct nfa *a, uint32_t from, uint32_t to, const char *ends, uint32_t space,
                 uint32_t item_rule, uint32_t value_rule)
{
    uint32_t s[8];
    for (int i = 0; i < 8; i++) s[i] = nfa_state(a);
    if (a->budget->st != OK) return;
    nfa_edge(a, from, (unsigned char)ends[0], (unsigned char)ends[0], s[0]);
    nfa_call(a, s[0], space, s[1]);
    nfa_edge(a, s[1], (unsigned char)ends[1], (unsigned char)ends[1], to);
    nfa_call(a, s[1], item_rule, s[2]);
    if (value_rule != FA_NONE) { /* a key, and behind it a colon and a value */
        nfa_call(a, s[2], space, s[3]);
        nfa_edge(a, s[3], ':', ':', s[4]);
        nfa_call(a, spaced(a, s[4], space), value_rule, s[5]);
    } else {
        nfa_skip(a, s[2], s[5]);
    }
    nfa_call(a, s[5], space, s[6]);
    nfa_edge(a, s[6], (unsigned char)ends[1], (unsigned char)ends[1], to);
    nfa_edge(a, s[6], ',', ',', s[7]);
    uint32_t next = spaced(a, s[7], space);
    nfa_call(a, next, item_rule, s[2]);
}

void grammar_json_any(struct grammar_build *b, uint32_t *value, uint32_t *object)
{
    struct dfa text, digits;
    uint32_t space = grammar_json_space(b), string = grammar_rule_add(b), array = grammar_rule_add(b);
    *value = grammar_rule_add(b);
    *object = grammar_rule_add(b);
    dfa_all(&b->budget, &text);
    regex_compile(number, sizeof number - 1, false, 64, &b->budget, &digits, b->err);
    struct nfa a[4];
    uint32_t from[4], to[4];
    for (int i = 0; i < 4; i++) {
        a[i] = (struct nfa){.budget = &b->budget};
        from[i] = nfa_state(&a[i]);
        to[i] = nfa_state(&a[i]);
    }
    if (b->budget.st == OK) {
        grammar_json_string(&text, &a[0], from[0], to[0]);
        list(&a[1], from[1], to[1], "[]", space, *value, FA_NONE);
        list(&a[2], from[2], to[2], "{}", space, string, *value);
        dfa_into(&digits, &a[3], from[3], to[3]);
        nfa_bytes(&a[3], from[3], "true", 4, to[3]);
        nfa_bytes(&a[3], from[3], "false", 5, to[3]);
        nfa_bytes(&a[3], from[3], "null", 4, to[3]);
        nfa_call(&a[3], from[3], string, to[3]);
        nfa_call(&a[3], from[3], array, to[3]);
        nfa_call(&a[3], from[3], *object, to[3]);
    }
    uint32_t rules[4] = {string, array, *object, *value};
    for (int i = 0; i < 4; i++) {
        grammar_rule_define(b, rules[i], &a[i], from[i], to[i]);
        nfa_fini(&a[i]);
    }
    dfa_fini(&text);
    dfa_fini(&digits);
}

static enum status build(struct grammar_build *b, const char *text, size_t len, uint32_t *root)
{
    uint32_t value, object;
    bool any = len == 5 && memcmp(text, "value", 5) == 0;
    if (len != 0 && !any)
        return error_set(b->err, ERR_FORMAT, "neither empty (an object) nor \"value\" (any value)");
    grammar_json_any(b, &value, &object);
    *root = any ? value : object;
    return grammar_build_status(b);
}

const struct grammar_front grammar_front_json = {GRAMMAR_JSON, "JSON", build};
