#include "text/grammar_regex.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "text/grammar_ast.h"
#include "text/grammar_int.h"
#include "text/utf8_int.h"

enum { MAX_REPEAT = 100000 };

struct parser {
    const char *text;
    size_t len, at;
    size_t depth, max_depth;
    struct ast *tree;
    struct error *err;
    enum status st;
};

static uint32_t fail(struct parser *p, enum status st, const char *what)
{
    if (p->st == OK)
        p->st = error_set(p->err, st, "regular expression: %s, at byte %zu of %zu", what, p->at, p->len);
    return 0;
}

static bool more(const struct parser *p)
{
    return p->st == OK && p->tree->budget->st == OK && p->at < p->len;
}

static bool looking_at(const struct parser *p, const char *s)
{
    size_t n = strlen(s);
    return p->len - p->at >= n && memcmp(p->text + p->at, s, n) == 0;
}

static bool take(struct parser *p, const char *s)
{
    if (!more(p) || !looking_at(p, s)) return false;
    p->at += strlen(s);
    return true;
}

static uint32_t next_point(struct parser *p)
{
    size_t n = utf8_sequence(p->text + p->at, p->len - p->at);
    if (n == 0) return fail(p, ERR_FORMAT, "bytes that are not UTF-8");
    uint32_t c = utf8_decode(p->text + p->at, n);
    p->at += n;
    return c;
}

/* ---- sets ---------------------------------------------------------------------------------------
 */

static const struct fa_range digits[] = {{'0', '9'}};
static const struct fa_range word[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const struct fa_range space[] = {
    {9, 13}, {' ', ' '}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029},
    {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
static const struct fa_range line_ends[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

static void put_ranges(struct ast *t, const struct fa_range *r, size_t n, bool not)
{
    uint32_t from = 0;
    for (size_t i = 0; i < n; i++) {
        if (!not) {
            ast_range(t, r[i].lo, r[i].hi);
            continue;
        }
        if (from < r[i].lo) ast_range(t, from, r[i].lo - 1);
        from = r[i].hi + 1;
    }
    if (not) ast_range(t, from, FA_MAX_POINT);
}
#define PUT(t, r, not) put_ranges(t, r, sizeof(r) / sizeof *(r), not)

/* \p{Lu}, \p{L}, \P{...}: general categories. */
static void put_category(struct parser *p, bool not)
{
    static const struct {
        const char *name, *code;
    } names[] = {{"Letter", "L"}, {"Uppercase_Letter", "Lu"}, {"Lowercase_Letter", "Ll"},
                 {"Mark", "M"}, {"Number", "N"}, {"Decimal_Number", "Nd"}, {"Punctuation", "P"},
                 {"Symbol", "S"}, {"Separator", "Z"}, {"Other", "C"}, {"digit", "Nd"}};
    char name[32];
    size_t n = 0;
    if (!take(p, "{")) {
        fail(p, ERR_FORMAT, "\\p needs {a category}");
        return;
    }
    while (more(p) && p->text[p->at] != '}' && n + 1 < sizeof name) name[n++] = p->text[p->at++];
    name[n] = 0;
    const char *code = name;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i].name) == 0) code = names[i].code;
    bool known = strlen(code) == 1 ? strchr("LMNPSZC", code[0]) != NULL : false;
    for (int c = 0; strlen(code) == 2 && c <= UTF8PROC_CATEGORY_CO; c++) {
        static const char all[] = "CnLuLlLtLmLoMnMcMeNdNlNoPcPdPsPePiPfPoSmScSkSoZsZlZpCcCfCsCo";
        known |= memcmp(all + 2 * c, code, 2) == 0;
    }
    if (!take(p, "}") || !known) {
        fail(p, ERR_UNSUPPORTED, "only general categories are known behind \\p");
        return;
    }
    uint32_t from = FA_NONE;
    for (uint32_t c = 0; c <= FA_MAX_POINT + 1; c++) {
        bool in = false;
        if (c <= FA_MAX_POINT && (c < 0xD800 || c > 0xDFFF)) {
            const char *cat = utf8proc_category_string((utf8proc_int32_t)c);
            in = (cat[0] == code[0] && (!code[1] || cat[1] == code[1])) != not;
        }
        if (in && from == FA_NONE) from = c;
        if (!in && from != FA_NONE) {
            ast_range(p->tree, from, c - 1);
            from = FA_NONE;
        }
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static uint32_t hex(struct parser *p, size_t n)
{
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        int d = p->at < p->len ? hex_digit(p->text[p->at]) : -1;
        if (d < 0) return fail(p, ERR_FORMAT, "hexadecimal digits are missing");
        v = v << 4 | (uint32_t)d;
        p->at++;
    }
    return v;
}

static uint32_t unicode_escape(struct parser *p)
{
    if (!take(p, "{")) {
        uint32_t c = hex(p, 4);
        if (c >= 0xD800 && c < 0xDC00 && take(p, "\\u")) {
            uint32_t low = hex(p, 4);
            if (low >= 0xDC00 && low < 0xE000) return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        }
        return c;
    }
    uint32_t v = 0;
    while (more(p) && hex_digit(p->text[p->at]) >= 0 && v <= FA_MAX_POINT) v = v << 4 | hex(p, 1);
    if (!take(p, "}") || v > FA_MAX_POINT) return fail(p, ERR_FORMAT, "no code point in \\u{...}");
    return v;
}

/* Behind a backslash: one character, or ranges put and FA_NONE returned. */
static uint32_t escape(struct parser *p, bool in_class)
{
    if (!more(p)) return fail(p, ERR_FORMAT, "nothing behind the backslash");
    char c = p->text[p->at];
    if ((unsigned char)c >= 0x80) return next_point(p);
    p->at++;
    switch (c) {
    case 'd': PUT(p->tree, digits, false); return FA_NONE;
    case 'D': PUT(p->tree, digits, true); return FA_NONE;
    case 'w': PUT(p->tree, word, false); return FA_NONE;
    case 'W': PUT(p->tree, word, true); return FA_NONE;
    case 's': PUT(p->tree, space, false); return FA_NONE;
    case 'S': PUT(p->tree, space, true); return FA_NONE;
    case 'p': put_category(p, false); return FA_NONE;
    case 'P': put_category(p, true); return FA_NONE;
    case 't': return '\t';
    case 'n': return '\n';
    case 'r': return '\r';
    case 'f': return '\f';
    case 'v': return '\v';
    case 'x': return hex(p, 2);
    case 'u': return unicode_escape(p);
    case 'c':
        if (p->at < p->len && ((p->text[p->at] | 32) >= 'a') && ((p->text[p->at] | 32) <= 'z'))
            return (uint32_t)p->text[p->at++] & 31;
        return fail(p, ERR_FORMAT, "\\c needs a letter");
    case 'b':
        if (in_class) return '\b';
        return fail(p, ERR_UNSUPPORTED, "\\b (word boundary) is not supported");
    case 'B': return fail(p, ERR_UNSUPPORTED, "\\B (no word boundary) is not supported");
    case 'k': return fail(p, ERR_UNSUPPORTED, "back references are not supported");
    case 'A': case 'Z': case 'z': case 'G':
        return fail(p, ERR_UNSUPPORTED, "use ^ and $ as anchors");
    default: break;
    }
    if (c == '0' && !(p->at < p->len && p->text[p->at] >= '0' && p->text[p->at] <= '9')) return 0;
    if (c >= '0' && c <= '9') return fail(p, ERR_UNSUPPORTED, "back references are not supported");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return fail(p, ERR_UNSUPPORTED, "an escape that is not known");
    return (unsigned char)c;
}

static uint32_t class_point(struct parser *p)
{
    return take(p, "\\") ? escape(p, true) : next_point(p);
}

static uint32_t parse_class(struct parser *p)
{
    size_t first = p->tree->n_ranges;
    bool not = take(p, "^");
    while (more(p) && p->text[p->at] != ']') {
        uint32_t lo = class_point(p), hi = lo;
        if (more(p) && p->text[p->at] == '-' && p->at + 1 < p->len && p->text[p->at + 1] != ']' &&
            lo != FA_NONE) {
            p->at++;
            hi = class_point(p);
            if (hi == FA_NONE) return fail(p, ERR_FORMAT, "a class cannot end a range");
            if (hi < lo) return fail(p, ERR_FORMAT, "a range that ends before it begins");
        }
        if (lo != FA_NONE) ast_range(p->tree, lo, hi);
    }
    if (!take(p, "]")) return fail(p, ERR_FORMAT, "a [ without its ]");
    return ast_set(p->tree, first, not);
}

/* ---- structure ----------------------------------------------------------------------------------
 */

static uint32_t parse_alternatives(struct parser *p);

static uint32_t parse_group(struct parser *p)
{
    if (take(p, "?")) {
        if (take(p, "<") || take(p, "P<")) {
            if (more(p) && (p->text[p->at] == '=' || p->text[p->at] == '!'))
                return fail(p, ERR_UNSUPPORTED, "looking behind is not supported");
            while (more(p) && p->text[p->at] != '>') p->at++;
            if (!take(p, ">")) return fail(p, ERR_FORMAT, "a group's name without its >");
        } else if (!take(p, ":")) {
            return fail(p, ERR_UNSUPPORTED, "(? is supported only as (?: and (?<name>");
        }
    }
    if (++p->depth > p->max_depth) return fail(p, ERR_LIMIT, "too many parentheses in each other");
    uint32_t node = parse_alternatives(p);
    p->depth--;
    if (!take(p, ")")) return fail(p, ERR_FORMAT, "a ( without its )");
    return node;
}

static uint32_t parse_atom(struct parser *p)
{
    size_t first = p->tree->n_ranges;
    if (take(p, "(")) return parse_group(p);
    if (take(p, "[")) return parse_class(p);
    if (take(p, ".")) {
        PUT(p->tree, line_ends, true);
        return ast_set(p->tree, first, false);
    }
    if (take(p, "^")) {
        while (take(p, "^")) {}
        return ast_point(p->tree, FA_BEGIN);
    }
    if (take(p, "$")) {
        while (take(p, "$")) {}
        return ast_point(p->tree, FA_END);
    }
    char c = p->text[p->at];
    if (c == '*' || c == '+' || c == '?') return fail(p, ERR_FORMAT, "nothing to repeat");
    uint32_t point = take(p, "\\") ? escape(p, false) : next_point(p);
    return point == FA_NONE ? ast_set(p->tree, first, false) : ast_point(p->tree, point);
}

static bool number(struct parser *p, uint32_t *out)
{
    size_t start = p->at;
    uint32_t v = 0;
    while (p->at < p->len && p->text[p->at] >= '0' && p->text[p->at] <= '9') {
        if (v <= MAX_REPEAT) v = v * 10 + (uint32_t)(p->text[p->at] - '0');
        p->at++;
    }
    *out = v;
    return p->at > start;
}

/* {m}, {m,} and {m,n}; a brace that is none of them is itself. */
static bool parse_counts(struct parser *p, uint32_t *min, uint32_t *max)
{
    size_t start = p->at++;
    if (number(p, min)) {
        *max = *min;
        bool open = take(p, ",");
        if (open && !number(p, max)) *max = AST_MANY;
        if (take(p, "}")) return true;
    }
    p->at = start;
    return false;
}

static uint32_t parse_repeated(struct parser *p)
{
    uint32_t node = parse_atom(p);
    while (more(p)) {
        uint32_t min, max;
        if (take(p, "*")) {
            min = 0, max = AST_MANY;
        } else if (take(p, "+")) {
            min = 1, max = AST_MANY;
        } else if (take(p, "?")) {
            min = 0, max = 1;
        } else if (p->text[p->at] == '{' && parse_counts(p, &min, &max)) {
            if (max < min) return fail(p, ERR_FORMAT, "a repetition of fewer than its least");
            if (min > MAX_REPEAT || (max > MAX_REPEAT && max != AST_MANY))
                return fail(p, ERR_LIMIT, "a repetition of more than 100000");
        } else {
            break;
        }
        if (take(p, "+")) return fail(p, ERR_UNSUPPORTED, "possessive repetition is not supported");
        take(p, "?"); /* lazy: the same texts match */
        uint32_t repeat = ast_node(p->tree, AST_REPEAT, min, max);
        ast_append(p->tree, repeat, node);
        node = repeat;
        if (++p->depth > p->max_depth) return fail(p, ERR_LIMIT, "too many repetitions in a row");
    }
    return node;
}

static uint32_t parse_sequence(struct parser *p)
{
    uint32_t seq = ast_node(p->tree, AST_SEQ, 0, 0);
    while (more(p) && p->text[p->at] != '|' && p->text[p->at] != ')') {
        size_t depth = p->depth;
        ast_append(p->tree, seq, parse_repeated(p));
        p->depth = depth;
    }
    return seq;
}

static uint32_t parse_alternatives(struct parser *p)
{
    uint32_t alt = ast_node(p->tree, AST_ALT, 0, 0);
    do ast_append(p->tree, alt, parse_sequence(p));
    while (take(p, "|"));
    return alt;
}

/* The expression stands between the two ends of a text, which its anchors take. Without an anchor,
 * what comes before and behind takes the end, and in a search anything that lies between. */
static void build(struct parser *p, uint32_t root, bool search, struct dfa *out)
{
    struct fa_budget *budget = p->tree->budget;
    struct nfa a = {.budget = budget};
    uint32_t s[6];
    for (int i = 0; i < 6; i++) s[i] = nfa_state(&a);
    if (budget->st == OK) {
        nfa_skip(&a, s[0], s[2]);
        nfa_edge(&a, s[0], FA_BEGIN, FA_BEGIN, s[1]);
        if (search) nfa_edge(&a, s[1], 0, FA_MAX_POINT, s[1]);
        nfa_skip(&a, s[1], s[2]);
        ast_emit(&(struct ast_emit){p->tree, &a, false, NULL}, root, s[2], s[3]);
        nfa_skip(&a, s[3], s[4]);
        if (search) nfa_edge(&a, s[4], 0, FA_MAX_POINT, s[4]);
        nfa_edge(&a, s[4], FA_END, FA_END, s[5]);
        nfa_skip(&a, s[3], s[5]);
    }
    struct dfa d, all = {0};
    dfa_from_nfa(&a, s[0], s[5], &d);
    dfa_strip_ends(&d, budget, &all);
    dfa_fini(&d);
    nfa_fini(&a);
    /* A search may pass over surrogates, which no text holds. */
    struct dfa points;
    dfa_all(budget, &points);
    dfa_combine(&all, &points, FA_AND, budget, out);
    dfa_fini(&points);
    dfa_fini(&all);
}

enum status regex_compile(const char *text, size_t len, bool search, size_t max_depth,
                          struct fa_budget *budget, struct dfa *out, struct error *err)
{
    struct ast tree = {.budget = budget};
    struct parser p = {text, len, 0, 0, max_depth, &tree, err, OK};
    *out = (struct dfa){0};
    uint32_t root = parse_alternatives(&p);
    if (p.st == OK && budget->st == OK && p.at < len) fail(&p, ERR_FORMAT, "a ) without its (");
    if (p.st == OK) build(&p, root, search, out);
    ast_fini(&tree);
    if (p.st != OK) dfa_fini(out);
    if (p.st == OK && budget->st != OK)
        return error_set(err, budget->st, budget->st == ERR_NOMEM ? "no memory for the regular expression"
                         : "the regular expression needs too many states, or too long to compile: "
                           "make it simpler, or its repetitions smaller");
    return p.st;
}
