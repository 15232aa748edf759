#include "index/context_names.h"

#include <stdlib.h>
#include <string.h>

enum {
    LINES_ABOVE = 30,
    LINES_BELOW = 10,
    RECEIVER_LINES = 3, /* above the cursor's, whose variables are looked up, too */
    MAX_HEADERS = 8,
    SCAN_BACK =
        64 << 10, /* bytes before the cursor in which headers and declarations are looked for */
    SCAN_IMPORTS = 256 << 10,
    IMPORT_LINES = 200, /* of one import in brackets */
};

static const float at_cursor = 3, of_self = 2.2f, in_header = 0.8f, as_import = 0.12f,
                   as_unused_import = 0.7f, as_raised = 1.5f;

static bool is_first(unsigned char c)
{
    return c >= 128 || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static bool is_word(unsigned char c)
{
    return is_first(c) || (c >= '0' && c <= '9');
}

bool context_word(const char *text, size_t len, size_t *at, size_t *begin)
{
    size_t i = *at;
    while (i < len && !is_first((unsigned char)text[i])) {
        if (!is_word((unsigned char)text[i])) {
            i++;
            continue;
        }
        while (i < len && is_word((unsigned char)text[i])) i++; /* a number */
    }
    *begin = i;
    while (i < len && is_word((unsigned char)text[i])) i++;
    *at = i;
    return *begin < i;
}

static bool is_common(const char *s, size_t n)
{
    static const char *const words[] = {
        "self",   "this",     "cls",       "super",     "return",  "def",      "class",   "if",
        "else",   "elif",     "for",       "while",     "in",      "not",      "and",     "or",
        "is",     "None",     "True",      "False",     "null",    "true",     "false",   "import",
        "from",   "as",       "with",      "try",       "except",  "raise",    "finally", "await",
        "async",  "yield",    "lambda",    "pass",      "break",   "continue", "const",   "let",
        "var",    "function", "new",       "static",    "void",    "int",      "char",    "struct",
        "public", "private",  "protected", "fn",        "pub",     "use",      "mut",     "impl",
        "func",   "package",  "type",      "interface", "extends", "str",      "bool",    "float",
        "list",   "dict",     "tuple",     "set",       "len",     "print",    "string",  "the",
        "a",      "of",       "to",        "include",   "switch",  "case",     "typing",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == n && memcmp(words[i], s, n) == 0) return true;
    return false;
}

/* ---- the table ---- */

static uint16_t *slot_of(struct context_names *names, const char *s, size_t n)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    const size_t cap = sizeof names->slots / sizeof *names->slots;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)s[i]) * 16777619u;
    for (size_t i = h % cap;; i = (i + 1) % cap) {
        uint16_t k = names->slots[i];
        if (k == 0) return &names->slots[i];
        const struct context_name *c = &names->list[k - 1];
        if (c->len == n && memcmp(c->text, s, n) == 0) return &names->slots[i];
    }
}

const struct context_name *context_names_get(const struct context_names *names, const char *text,
                                             size_t len)
{
    uint16_t k = *slot_of((struct context_names *)names, text, len);
    return k ? &names->list[k - 1] : NULL;
}

/* NULL where the table is full or the word is no name to look for. */
static struct context_name *add(struct context_names *names, const char *s, size_t n, float weight)
{
    if (n < 2 || n > CONTEXT_NAME_MAX || is_common(s, n)) return NULL;
    uint16_t *slot = slot_of(names, s, n);
    if (!*slot) {
        if (names->n == CONTEXT_NAMES) return NULL;
        names->list[names->n++] = (struct context_name){.text = s, .len = n};
        *slot = (uint16_t)names->n;
    }
    struct context_name *c = &names->list[*slot - 1];
    float low = weight < c->weight ? weight : c->weight,
          high = weight < c->weight ? c->weight : weight;
    c->weight = high + 0.2f * low;
    return c;
}

static bool behind_dot(const char *text, size_t begin)
{
    if (begin == 0) return false;
    char c = text[begin - 1], b = begin > 1 ? text[begin - 2] : 0;
    return c == '.' || (c == '>' && b == '-') || (c == ':' && b == ':');
}

static void add_words(struct context_names *names, const char *text, size_t from, size_t to,
                      float weight)
{
    size_t begin;
    for (size_t at = from; context_word(text, to, &at, &begin);) {
        struct context_name *c = add(names, text + begin, at - begin, weight);
        if (c && behind_dot(text, begin)) c->member = true;
    }
}

/* ---- lines ---- */

static size_t line_start(const char *text, size_t at)
{
    while (at > 0 && text[at - 1] != '\n') at--;
    return at;
}
static size_t line_end(const char *text, size_t len, size_t at)
{
    const char *end = memchr(text + at, '\n', len - at);
    return end ? (size_t)(end - text) : len;
}
static size_t indent_of(const char *text, size_t from, size_t to)
{
    size_t i = from;
    while (i < to && (text[i] == ' ' || text[i] == '\t')) i++;
    return i - from;
}
static bool is_blank(const char *text, size_t from, size_t to)
{
    return from + indent_of(text, from, to) >= to || text[from + indent_of(text, from, to)] == '\r';
}

static void add_lines(struct context_names *names, const char *text, size_t len, size_t offset)
{
    size_t start = line_start(text, offset), end = line_end(text, len, offset);
    add_words(names, text, start, offset, at_cursor);
    add_words(names, text, offset, end, 0.5f * at_cursor);
    float d = 1;
    for (size_t at = start; at > 0 && d <= LINES_ABOVE;) {
        size_t from = line_start(text, at - 1);
        if (!is_blank(text, from, at - 1))
            add_words(names, text, from, at - 1, 1 / (1 + 0.15f * d++));
        at = from;
    }
    d = 1;
    for (size_t at = end; at < len && d <= LINES_BELOW;) {
        size_t to = line_end(text, len, at + 1);
        if (!is_blank(text, at + 1, to))
            add_words(names, text, at + 1, to, 0.6f / (1 + 0.15f * d++));
        at = to;
    }
}

/* Whether a member of the type around the cursor is being written. */
static bool at_self(const char *text, size_t offset)
{
    static const char *const words[] = {"self.", "this.", "this->", "super()."};
    size_t end = offset;
    while (end > 0 && is_word((unsigned char)text[end - 1])) end--;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if (end >= n && memcmp(text + end - n, words[i], n) == 0) return true;
    }
    return false;
}

/* The lines above that are less and less indented: heads of the blocks around the cursor. */
static void add_headers(struct context_names *names, const char *text, size_t len, size_t offset)
{
    bool self = at_self(text, offset);
    size_t start = line_start(text, offset),
           indent = indent_of(text, start, line_end(text, len, offset)), n = 0;
    if (is_blank(text, start, line_end(text, len, offset)) && offset - start > indent)
        indent = offset - start;
    for (size_t at = start; at > 0 && offset - at < SCAN_BACK && indent > 0 && n < MAX_HEADERS;) {
        size_t from = line_start(text, at - 1), i = indent_of(text, from, at - 1);
        if (!is_blank(text, from, at - 1) && i < indent && text[from + i] != '#' &&
            text[from + i] != ')') {
            bool type = memmem(text + from, at - 1 - from, "class ", 6) ||
                        memmem(text + from, at - 1 - from, "impl ", 5);
            add_words(names, text, from, at - 1, self && type ? of_self : in_header);
            indent = i;
            n++;
        }
        at = from;
    }
}

/* ---- imports ---- */

static bool starts(const char *s, size_t n, const char *word)
{
    size_t k = strlen(word);
    return n > k && memcmp(s, word, k) == 0 && !is_word((unsigned char)s[k]);
}

static bool is_import(const char *s, size_t n)
{
    static const char *const words[] = {
        "import", "use", "using", "#include", "require", "require_relative", "#import", "export"};
    if (starts(s, n, "from")) return memmem(s, n, " import ", 8) != NULL;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (starts(s, n, words[i])) return true;
    return (starts(s, n, "const") || starts(s, n, "local") || starts(s, n, "var")) &&
           memmem(s, n, "require", 7);
}

/* Where an import's text ends, which may go over lines inside of brackets. */
static size_t import_end(const char *text, size_t len, size_t from)
{
    int depth = 0, lines = 0;
    size_t i = from;
    for (; i < len && lines < IMPORT_LINES; i++) {
        char c = text[i];
        if (c == '(' || c == '{')
            depth++;
        else if (c == ')' || c == '}')
            depth--;
        else if (c == '\n' && (depth <= 0 || ++lines == IMPORT_LINES))
            break;
    }
    return i;
}

static void add_import(struct context_names *names, const char *text, size_t from, size_t to)
{
    size_t begin;
    for (size_t at = from; context_word(text, to, &at, &begin);) {
        const char *s = text + begin;
        size_t n = at - begin;
        if (names->n_hints < CONTEXT_HINTS && n < CONTEXT_NAME_MAX)
            names->hints[names->n_hints++] = (struct context_hint){s, n};
        struct context_name *c = add(names, s, n, as_import);
        if (c) c->imported = true;
    }
}

static size_t add_imports(struct context_names *names, const char *text, size_t len, size_t offset)
{
    size_t last = 0, most = len < SCAN_IMPORTS ? len : SCAN_IMPORTS;
    for (size_t at = 0; at < most;) {
        size_t end = line_end(text, len, at), i = at + indent_of(text, at, end);
        if (is_import(text + i, end - i)) {
            end = import_end(text, len, at);
            bool apart = offset < at || offset > end; /* not what is being written */
            if (apart) add_import(names, text, i, end);
            if (apart && names->n_imports < CONTEXT_IMPORTS)
                names->imports[names->n_imports++] = (struct context_span){i, end};
            last = end;
        }
        at = end + 1;
    }
    return last;
}

static bool at_raise(const char *text, size_t offset)
{
    static const char *const words[] = {"raise ", "except ", "throw ", "throw new ", "catch ("};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if (offset >= n && memcmp(text + offset - n, words[i], n) == 0) return true;
    }
    return false;
}

static bool is_error(const struct context_name *c)
{
    return memmem(c->text, c->len, "Error", 5) || memmem(c->text, c->len, "Exception", 9);
}

/* What is imported and used nowhere yet is likely to be wanted where somebody writes. */
static void weigh_imports(struct context_names *names, const char *text, size_t len, size_t offset,
                          size_t from)
{
    bool raising = at_raise(text, offset);
    size_t begin, most = len - from < 2 * SCAN_IMPORTS ? len : from + 2 * SCAN_IMPORTS;
    for (size_t at = from; context_word(text, most, &at, &begin);) {
        uint16_t k = *slot_of(names, text + begin, at - begin);
        if (k && names->list[k - 1].imported) names->list[k - 1].uses++;
    }
    for (size_t i = 0; i < names->n; i++) {
        struct context_name *c = &names->list[i];
        if (c->imported && c->uses == 0) c->weight += as_unused_import;
        if (c->imported && raising && is_error(c)) c->weight += as_raised;
    }
}

/* ---- what a variable may be ---- */

/* "http_client" as a type's name: "HttpClient". */
static void add_camel(struct context_names *names, const char *s, size_t n, float weight)
{
    char *to = names->made + names->n_made;
    size_t len = 0;
    if (names->n_made + n > CONTEXT_MADE) return;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '_') continue;
        bool head = len == 0 || (i > 0 && s[i - 1] == '_');
        to[len++] = head && s[i] >= 'a' && s[i] <= 'z' ? (char)(s[i] - 32) : s[i];
    }
    if (len == n && memcmp(to, s, n) == 0) return; /* it is one already */
    struct context_name *c = add(names, to, len, weight);
    if (!c) return;
    c->made = true;
    if (c->text == to) names->n_made += len;
}

/* The words behind a variable's declaration, up to the next one. */
static void add_type(struct context_names *names, const char *text, size_t offset, size_t from,
                     float weight)
{
    size_t end = line_end(text, offset, from), begin, k = 0;
    for (size_t at = from; k < 4 && context_word(text, end, &at, &begin); k++) {
        struct context_name *c = add(names, text + begin, at - begin, weight / (float)(k + 1));
        if (c && behind_dot(text, begin)) c->member = true;
        if (c && !c->member) c->made = true;
        if (text[at < end ? at : end - 1] == ',') break; /* the next parameter */
    }
}

/* The last lines before the cursor that declare and that set the variable; their words may tell the
 * type. */
static void add_declared(struct context_names *names, const char *text, size_t offset,
                         const char *s, size_t n, float weight)
{
    size_t from = offset > SCAN_BACK ? offset - SCAN_BACK : 0, set = SIZE_MAX, declared = SIZE_MAX;
    for (const char *p = text + from; (p = memmem(p, (size_t)(text + offset - p), s, n)); p += n) {
        size_t begin = (size_t)(p - text), end = begin + n;
        if ((begin > 0 && is_word((unsigned char)text[begin - 1])) ||
            (end < offset && is_word((unsigned char)text[end])))
            continue;
        while (end < offset && text[end] == ' ') end++;
        if (end >= offset || (text[end] != ':' && text[end] != '=')) continue;
        if (end + 1 < offset && text[end] == '=' && text[end + 1] == '=') continue;
        if (text[end] == '=')
            set = end + 1;
        else if (end + 1 < offset && text[end + 1] == ' ')
            declared = end + 1;
    }
    if (set != SIZE_MAX) add_type(names, text, offset, set, weight);
    if (declared != SIZE_MAX) add_type(names, text, offset, declared, weight);
}

static void add_receivers(struct context_names *names, const char *text, size_t len, size_t offset)
{
    size_t at = line_start(text, offset), end = offset, begin;
    float weight = 0.8f * at_cursor;
    for (int i = 0; i <= RECEIVER_LINES; i++, weight = 0.5f) {
        for (size_t k = at; context_word(text, end, &k, &begin);) {
            bool dot = k < len &&
                       (text[k] == '.' || (text[k] == '-' && k + 1 < len && text[k + 1] == '>'));
            if (!dot || k - begin > CONTEXT_NAME_MAX || is_common(text + begin, k - begin))
                continue;
            add_declared(names, text, offset, text + begin, k - begin, weight);
            add_camel(names, text + begin, k - begin, 0.8f * weight);
        }
        if (at == 0) break;
        end = at - 1;
        at = line_start(text, end);
    }
}

/* ---- all together ---- */

static int heavier(const void *a, const void *b)
{
    const struct context_name *x = a, *y = b;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return x->text < y->text ? -1 : x->text > y->text;
}

void context_names_find(struct context_names *out, const char *text, size_t len, size_t offset)
{
    memset(out, 0, sizeof *out);
    add_lines(out, text, len, offset);
    add_headers(out, text, len, offset);
    add_receivers(out, text, len, offset);
    size_t behind = add_imports(out, text, len, offset);
    weigh_imports(out, text, len, offset, behind < len ? behind : len);
    out->partial = text + offset;
    while (out->partial > text && is_word((unsigned char)out->partial[-1])) out->partial--;
    out->partial_len = (size_t)(text + offset - out->partial);
    out->receiver = "";
    if (out->partial > text && out->partial[-1] == '.') {
        const char *end = out->receiver = out->partial - 1;
        while (out->receiver > text && is_word((unsigned char)out->receiver[-1])) out->receiver--;
        out->receiver_len = (size_t)(end - out->receiver);
    }
    qsort(out->list, out->n, sizeof *out->list, heavier);
    memset(out->slots, 0, sizeof out->slots);
    for (size_t i = 0; i < out->n; i++)
        *slot_of(out, out->list[i].text, out->list[i].len) = (uint16_t)(i + 1);
}
