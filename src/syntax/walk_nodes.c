/* What single nodes tell: names, signatures, callees, import targets. */
#include "syntax/walk_int.h"

#include <stdlib.h>
#include <string.h>

#ifdef HEARTH_GRAMMARS

enum {
    MAX_STEPS = 12,     /* declarators inside declarators, and other ways down to a name */
    MAX_PART_NODES = 256, /* of an import list */
    MAX_SCOPE = 512,
    MAX_SIGNATURE = 512,
    MAX_DOC = 1024,
    MAX_CHILDREN = 64,
    MAX_LIST = 2000,    /* children of one import */
};

static TSNode null_node(void)
{
    return (TSNode){0};
}

static TSNode field(TSNode n, const char *name)
{
    return ts_node_child_by_field_name(n, name, (uint32_t)strlen(name));
}

static bool is_kind(TSNode n, const char *kind, size_t len)
{
    const char *k = ts_node_type(n);
    return strlen(k) == len && memcmp(k, kind, len) == 0;
}

static TSNode child_of_kind(TSNode n, const char *kind, size_t len)
{
    uint32_t count = ts_node_named_child_count(n);
    for (uint32_t i = 0; i < count && i < MAX_CHILDREN; i++) {
        TSNode c = ts_node_named_child(n, i);
        if (is_kind(c, kind, len)) return c;
    }
    return null_node();
}

/* One alternative: path[0..len). */
static TSNode follow(TSNode n, const char *path, size_t len)
{
    while (len && !ts_node_is_null(n)) {
        const char *slash = memchr(path, '/', len);
        size_t step = slash ? (size_t)(slash - path) : len;
        if (path[0] == '<')
            n = child_of_kind(n, path + 1, step - 2);
        else
            n = ts_node_child_by_field_name(n, path, (uint32_t)step);
        path += slash ? step + 1 : step;
        len -= slash ? step + 1 : step;
    }
    return n;
}

TSNode walk_part(TSNode n, const char *path)
{
    for (;;) {
        const char *bar = strchr(path, '|');
        TSNode found = follow(n, path, bar ? (size_t)(bar - path) : strlen(path));
        if (!ts_node_is_null(found) || !bar) return found;
        path = bar + 1;
    }
}

/* A node's text without the quotes or brackets around it. */
static struct range {
    uint32_t begin, end;
} text_of(const struct syntax_build *b, TSNode n)
{
    struct range r = {ts_node_start_byte(n), ts_node_end_byte(n)};
    if (r.end > b->len) r.end = b->len;
    if (r.begin > r.end) r.begin = r.end;
    while (r.begin < r.end && strchr("\"'`<[ \t\r\n", b->text[r.begin]) && b->text[r.begin]) r.begin++;
    while (r.begin < r.end && strchr("\"'`>] \t\r\n;", b->text[r.end - 1]) && b->text[r.end - 1]) r.end--;
    return r;
}

static bool is_word_byte(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || c >= 0x80;
}

/* A name that is fit to print on one line. */
static char *name_text(struct syntax_build *b, struct range r)
{
    if (r.begin == r.end || r.end - r.begin > SYNTAX_MAX_NAME) return NULL;
    for (uint32_t i = r.begin; i < r.end; i++)
        if ((unsigned char)b->text[i] < 0x20 || b->text[i] == 0x7F) return NULL;
    return syntax_arena_text(&b->arena, b->text + r.begin, r.end - r.begin);
}

const char *walk_join_scope(struct syntax_build *b, const char *scope, const char *name, size_t len)
{
    size_t n = strlen(scope);
    if (len == 0 || n + len + 1 > MAX_SCOPE) return scope;
    char *s = syntax_arena_alloc(&b->arena, n + len + 2, 1);
    if (!s) return scope;
    memcpy(s, scope, n);
    if (n) s[n++] = '.';
    memcpy(s + n, name, len);
    s[n + len] = '\0';
    return s;
}

/* ---- definitions ---- */

struct named {
    TSNode node;
    struct range qualifier; /* of "A::b" in C++; empty without */
    bool function;          /* a function's declarator is on the way */
};

/* From a declarator down to the name in it. */
static struct named find_name(const struct syntax_build *b, TSNode n)
{
    struct named r = {.node = n};
    for (int i = 0; i < MAX_STEPS; i++) {
        const char *kind = ts_node_type(r.node);
        size_t len = strlen(kind);
        TSNode next = field(r.node, "declarator");
        if (strcmp(kind, "function_declarator") == 0) r.function = true;
        if (ts_node_is_null(next)) {
            TSNode scope = field(r.node, "scope");
            if (ts_node_is_null(scope)) scope = field(r.node, "table");
            next = field(r.node, "name");
            if (ts_node_is_null(next)) next = field(r.node, "field");
            if (ts_node_is_null(next)) next = field(r.node, "method");
            if (!ts_node_is_null(scope) && !ts_node_is_null(next)) r.qualifier = text_of(b, scope);
        }
        if (ts_node_is_null(next) && len > 10 && strcmp(kind + len - 10, "declarator") == 0)
            next = ts_node_named_child(r.node, 0);
        if (ts_node_is_null(next)) break;
        r.node = next;
    }
    return r;
}

static bool is_function(const struct syntax_build *b, TSNode n)
{
    if (ts_node_is_null(n)) return false;
    const struct syntax_table *t = syntax_table_of(b->language);
    TSSymbol s = ts_node_symbol(n);
    const struct syntax_rule *r = s < t->n_symbols ? t->by_symbol[s] : NULL;
    return r && (r->roles & SYNTAX_FUNCTION);
}

static TSNode body_of(TSNode n, const struct syntax_rule *r)
{
    return walk_part(n, r->body ? r->body : "body");
}

static const char *signature_of(struct syntax_build *b, TSNode n, const struct syntax_rule *r,
                                uint32_t head)
{
    TSNode body = body_of(n, r);
    uint32_t end = ts_node_is_null(body) ? ts_node_end_byte(n) : ts_node_start_byte(body);
    if (end > b->len) end = b->len;
    if (head > end) return "";
    if (r->flags & RULE_JOIN || ts_node_is_null(body)) {
        const char *nl = memchr(b->text + head, '\n', end - head);
        if (nl && (r->kind != SYNTAX_KIND_FUNCTION && r->kind != SYNTAX_KIND_METHOD))
            end = (uint32_t)(nl - b->text);
    }
    while (end > head && strchr(" \t\r\n{:=", b->text[end - 1]) && b->text[end - 1]) end--;
    char *s = syntax_fold(&b->arena, b->text + head, end - head, MAX_SIGNATURE);
    return s ? s : "";
}

static const char *doc_of(struct syntax_build *b, TSNode n, const struct syntax_rule *r,
                          const struct walk_place *place)
{
    uint32_t begin = place->doc_begin, end = place->doc_end;
    if (r->flags & RULE_DOCSTRING) {
        TSNode first = ts_node_named_child(body_of(n, r), 0);
        if (!ts_node_is_null(first) && is_kind(first, "expression_statement", 20))
            first = ts_node_named_child(first, 0);
        if (!ts_node_is_null(first) && is_kind(first, "string", 6)) {
            begin = ts_node_start_byte(first);
            end = ts_node_end_byte(first);
        }
    }
    if (end > b->len) end = b->len;
    if (begin >= end) return "";
    char *s = syntax_doc_text(&b->arena, b->text + begin, end - begin, MAX_DOC);
    return s ? s : "";
}

static enum syntax_kind kind_of(const struct syntax_build *b, TSNode n, const struct syntax_rule *r,
                                const struct named *name, bool in_type)
{
    enum syntax_kind k = r->kind;
    if ((r->flags & RULE_PROTOTYPE) && name->function) k = SYNTAX_KIND_FUNCTION;
    if ((r->flags & (RULE_VALUE | RULE_NEEDS_VALUE)) && is_function(b, walk_part(n, "value|right|<expression_list>/<function_definition>")))
        k = SYNTAX_KIND_FUNCTION;
    bool member = in_type || name->qualifier.end > name->qualifier.begin || r->owner;
    if (k == SYNTAX_KIND_FUNCTION && member) k = SYNTAX_KIND_METHOD;
    if (k == SYNTAX_KIND_VARIABLE && in_type) k = SYNTAX_KIND_FIELD;
    return k;
}

/* The type's name in a receiver: the first word there that is a type. */
static TSNode receiver_type(TSNode n, const char *path)
{
    TSNode part = walk_part(n, path);
    for (int i = 0; i < MAX_STEPS && !ts_node_is_null(part); i++) {
        TSNode type = field(part, "type");
        if (ts_node_is_null(type)) type = ts_node_named_child(part, 0);
        if (ts_node_is_null(type)) return part;
        part = type;
    }
    return part;
}

int32_t walk_define(struct syntax_build *b, TSNode n, const struct syntax_rule *r,
                    const struct walk_place *place)
{
    if ((r->flags & RULE_NEEDS_BODY) && ts_node_is_null(body_of(n, r))) return -1;
    TSNode part = walk_part(n, r->name ? r->name : "name");
    if (ts_node_is_null(part)) return -1;
    struct named found = find_name(b, part);
    struct range range = text_of(b, found.node);
    enum syntax_kind kind = kind_of(b, n, r, &found, place->in_type);
    if ((r->flags & RULE_NEEDS_VALUE) && kind != SYNTAX_KIND_FUNCTION && kind != SYNTAX_KIND_METHOD)
        return -1;
    /* A variable is a word; "a[i] = 1" and "x, y = 1, 2" define none. */
    if (r->flags & RULE_OUTSIDE)
        for (uint32_t i = range.begin; i < range.end; i++)
            if (!is_word_byte((unsigned char)b->text[i])) return -1;
    char *name = name_text(b, range);
    if (!name || !syntax_room(b, (void **)&b->definitions, &b->cap_definitions, b->n_definitions,
                              SYNTAX_MAX_DEFINITIONS, sizeof *b->definitions))
        return -1;
    const char *scope = place->scope;
    if (found.qualifier.end > found.qualifier.begin)
        scope = walk_join_scope(b, scope, b->text + found.qualifier.begin,
                                found.qualifier.end - found.qualifier.begin);
    if (r->owner) {
        TSNode type = receiver_type(n, r->owner);
        if (!ts_node_is_null(type)) {
            struct range t = text_of(b, type);
            scope = walk_join_scope(b, scope, b->text + t.begin, t.end - t.begin);
        }
    }
    TSPoint p = ts_node_start_point(found.node), z = ts_node_end_point(n);
    uint32_t end = ts_node_end_byte(n);
    uint32_t shift = range.begin - ts_node_start_byte(found.node);
    struct syntax_definition *d = &b->definitions[b->n_definitions];
    *d = (struct syntax_definition){
        .name = name, .scope = scope, .kind = kind, .line = p.row + 1, .column = p.column + shift,
        .name_begin = range.begin, .begin = ts_node_start_byte(n), .end = end,
        .end_line = (z.column == 0 && z.row >= p.row + 1 ? z.row - 1 : z.row) + 1,
        .signature = signature_of(b, n, r, place->head)};
    if (b->n_definitions % 32 == 0 || !b->docs) {
        const char **docs = realloc(b->docs, (b->n_definitions + 32) * sizeof *docs);
        if (!docs) {
            b->failed = true;
            return -1;
        }
        b->docs = docs;
    }
    b->docs[b->n_definitions] = doc_of(b, n, r, place);
    return (int32_t)b->n_definitions++;
}

/* ---- references ---- */

static void add_reference(struct syntax_build *b, struct range r, TSPoint p,
                          enum syntax_reference_kind kind)
{
    if (!(b->want & SYNTAX_WANT_SYMBOLS)) return;
    char *name = name_text(b, r);
    if (!name || !syntax_room(b, (void **)&b->references, &b->cap_references, b->n_references,
                              SYNTAX_MAX_REFERENCES, sizeof *b->references))
        return;
    b->references[b->n_references++] = (struct syntax_reference){
        .name = name, .kind = kind, .line = p.row + 1, .column = p.column, .begin = r.begin};
}

/* The last word of a callee's text, such as c of "a::b.c", in the last 256 bytes. */
static struct range last_word(const struct syntax_build *b, TSNode n)
{
    uint32_t begin = ts_node_start_byte(n), end = ts_node_end_byte(n);
    if (end > b->len) end = b->len;
    if (begin > end) begin = end;
    if (end - begin > SYNTAX_MAX_NAME) begin = end - SYNTAX_MAX_NAME;
    uint32_t last = end;
    /* Ruby's "empty?" and Rust's "vec!" belong to the name or not; the word does. */
    while (last > begin && (b->text[last - 1] == '?' || b->text[last - 1] == '!')) last--;
    uint32_t at = last;
    while (at > begin && is_word_byte((unsigned char)b->text[at - 1])) at--;
    return (struct range){at, at == last ? at : end};
}

/* The text of the first string in a call's arguments. */
static struct range first_string(const struct syntax_build *b, TSNode call)
{
    TSNode n = walk_part(call, "arguments|argument");
    const struct syntax_table *t = syntax_table_of(b->language);
    for (int i = 0; i < MAX_STEPS && !ts_node_is_null(n); i++) {
        TSSymbol s = ts_node_symbol(n);
        const struct syntax_rule *r = s < t->n_symbols ? t->by_symbol[s] : NULL;
        if (r && (r->roles & SYNTAX_STRING)) return text_of(b, n);
        TSNode next = ts_node_named_child(n, 0);
        if (ts_node_is_null(next)) return text_of(b, n);
        n = next;
    }
    return (struct range){0, 0};
}

static void add_import(struct syntax_build *b, TSNode n, struct range target, struct range name,
                       struct range alias)
{
    if (!(b->want & SYNTAX_WANT_SYMBOLS)) return;
    char *to = name_text(b, target);
    if (!to || !syntax_room(b, (void **)&b->imports, &b->cap_imports, b->n_imports,
                            SYNTAX_MAX_IMPORTS, sizeof *b->imports))
        return;
    char *what = name_text(b, name), *as = name_text(b, alias);
    b->imports[b->n_imports++] = (struct syntax_import){
        .target = to, .name = what ? what : "", .alias = as ? as : "",
        .line = ts_node_start_point(n).row + 1, .begin = ts_node_start_byte(n),
        .end = ts_node_end_byte(n)};
}

void walk_call(struct syntax_build *b, TSNode n, const struct syntax_rule *r)
{
    TSNode callee = walk_part(n, r->name ? r->name : "function");
    if (ts_node_is_null(callee)) return;
    struct range word = last_word(b, callee);
    /* Type arguments and the like stand behind the name. */
    for (int i = 0; i < 3 && word.begin == word.end; i++) {
        TSNode inner = walk_part(callee, "function|name|constructor|type");
        if (ts_node_is_null(inner)) inner = ts_node_named_child(callee, 0);
        if (ts_node_is_null(inner)) return;
        callee = inner;
        word = last_word(b, callee);
    }
    if (word.begin == word.end) return;
    TSPoint p = ts_node_end_point(callee);
    uint32_t back = ts_node_end_byte(callee) - word.begin;
    p.column = p.column >= back ? p.column - back : 0;
    size_t len = word.end - word.begin;
    for (const char *const *c = b->language->import_calls; c && *c; c++)
        if (strlen(*c) == len && memcmp(*c, b->text + word.begin, len) == 0) {
            struct range none = {0, 0};
            add_import(b, n, first_string(b, n), none, none);
            return;
        }
    add_reference(b, word, p, SYNTAX_REF_CALL);
}

void walk_leaf(struct syntax_build *b, TSNode n, enum syntax_reference_kind kind)
{
    uint32_t begin = ts_node_start_byte(n);
    if (b->n_definitions && b->definitions[b->n_definitions - 1].name_begin == begin) return;
    if (kind == SYNTAX_REF_OTHER && b->n_references &&
        b->references[b->n_references - 1].begin == begin)
        return;
    add_reference(b, (struct range){begin, ts_node_end_byte(n) > b->len ? b->len : ts_node_end_byte(n)},
                  ts_node_start_point(n), kind);
}

static int by_begin(const void *x, const void *y)
{
    const struct syntax_reference *a = x, *b = y;
    return a->begin != b->begin ? (a->begin < b->begin ? -1 : 1) : (int)a->kind - (int)b->kind;
}

void walk_sort_references(struct syntax_build *b)
{
    /* A call's node comes before what its callee holds, which stands first in the text. */
    bool sorted = true;
    for (size_t i = 1; i < b->n_references && sorted; i++)
        sorted = by_begin(&b->references[i - 1], &b->references[i]) <= 0;
    if (!sorted) qsort(b->references, b->n_references, sizeof *b->references, by_begin);
    size_t n = 0;
    for (size_t i = 0; i < b->n_references; i++)
        if (n == 0 || b->references[n - 1].begin != b->references[i].begin)
            b->references[n++] = b->references[i];
    b->n_references = n;
}

/* ---- imports ---- */

/* Every name in an import's list: nodes with a field "name" (and perhaps "alias"), else leaves. */
static void add_names(struct syntax_build *b, TSNode import, struct range target, TSNode part)
{
    TSTreeCursor c = ts_tree_cursor_new(part);
    unsigned depth = 0;
    for (int i = 0; i < MAX_PART_NODES; i++) {
        TSNode n = ts_tree_cursor_current_node(&c);
        TSNode name = field(n, "name"), alias = field(n, "alias");
        struct range none = {0, 0};
        bool leaf = ts_node_named_child_count(n) == 0;
        if (ts_node_is_named(n) && (!ts_node_is_null(name) || leaf)) {
            add_import(b, import, target, text_of(b, ts_node_is_null(name) ? n : name),
                       ts_node_is_null(alias) ? none : text_of(b, alias));
        } else if (!leaf && ts_tree_cursor_goto_first_child(&c)) {
            depth++;
            continue;
        }
        bool moved = false;
        while (depth && !(moved = ts_tree_cursor_goto_next_sibling(&c))) {
            ts_tree_cursor_goto_parent(&c);
            depth--;
        }
        if (!moved) break;
    }
    ts_tree_cursor_delete(&c);
}

/* Children that the rule's body names: a field's name, or a kind in angle brackets. */
static bool is_listed(TSNode parent, uint32_t i, TSNode child, const char *want)
{
    if (want[0] == '<') return is_kind(child, want + 1, strlen(want) - 2);
    const char *f = ts_node_field_name_for_named_child(parent, i);
    return f && strcmp(f, want) == 0;
}

void walk_import(struct syntax_build *b, TSNode n, const struct syntax_rule *r)
{
    const char *path = r->name ? r->name : "name";
    struct range none = {0, 0};
    uint32_t count = ts_node_named_child_count(n);
    bool any = false;
    if (r->body) {
        TSNode part = walk_part(n, path);
        if (ts_node_is_null(part)) return;
        struct range target = text_of(b, part);
        for (uint32_t i = 0; i < count && i < MAX_LIST; i++) {
            TSNode c = ts_node_named_child(n, i);
            if (!is_listed(n, i, c, r->body)) continue;
            add_names(b, n, target, c);
            any = true;
        }
        if (!any) add_import(b, n, target, none, none);
        return;
    }
    /* Without a list: every child at the path is a target of its own, perhaps with an alias. */
    for (uint32_t i = 0; i < count && i < MAX_LIST && !strpbrk(path, "/|<"); i++) {
        TSNode c = ts_node_named_child(n, i);
        if (!is_listed(n, i, c, path)) continue;
        TSNode name = field(c, "name"), alias = field(c, "alias");
        add_import(b, n, text_of(b, ts_node_is_null(name) ? c : name), none,
                   ts_node_is_null(alias) ? none : text_of(b, alias));
        any = true;
    }
    TSNode part = any ? null_node() : walk_part(n, path);
    TSNode alias = field(n, "alias");
    if (!any && !ts_node_is_null(part))
        add_import(b, n, text_of(b, part), none,
                   ts_node_is_null(alias) ? none : text_of(b, alias));
}

#endif
