/* Inside of the Jinja interpreter: memory, values, the tree and the state of a rendering.
 *
 * Failure is sticky: the first error stays in `struct jinja`, every later operation does nothing and
 * gives an undefined value, and each loop asks jinja_step before it goes on. */
#ifndef HEARTH_TEXT_JINJA_INT_H
#define HEARTH_TEXT_JINJA_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "text/jinja.h"

/* ---- memory: freed all at once ---- */

struct jinja_block {
    struct jinja_block *next;
    unsigned char *marks; /* a bit for each byte of data, and room to read a byte past them; or NULL */
    size_t size;
    bool any; /* some bit is set */
    _Alignas(16) char data[];
};
struct jinja_arena {
    struct jinja_block *blocks, *seen; /* newest first; the one that was looked up last */
    char *at, *end;                    /* free part of the newest block */
    size_t used, max;
    bool marking; /* blocks have marks */
};
void *jinja_alloc_raw(struct jinja_arena *a, size_t bytes, size_t align); /* NULL past max */
void jinja_arena_fini(struct jinja_arena *a);

/* ---- marks (jinja_marks.c): which bytes of the arena came in with the variables ----
 *
 * They belong to the memory, not to the values, so that whatever cuts, splits or walks a text has them
 * for free. What copies bytes copies their marks; what makes bytes out of others marks them alike. All
 * other memory, of literals and of the C program, counts as not marked. Nothing happens in an arena that
 * is not marking. */
void jinja_marks_copy(struct jinja_arena *a, const char *to, const char *from, size_t len);
void jinja_marks_set(struct jinja_arena *a, const char *to, size_t len);
bool jinja_marked(struct jinja_arena *a, const char *p);

/* ---- values ---- */

enum jinja_kind {
    JINJA_MISSING, /* an argument that was not given */
    JINJA_UNDEFINED,
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INT,
    JINJA_FLOAT,
    JINJA_STR,
    JINJA_LIST, /* every sequence but text; its form tells which */
    JINJA_DICT,
    JINJA_NAMESPACE,
    JINJA_MACRO,
    JINJA_FUNCTION,
    JINJA_METHOD,
    JINJA_LOOP,
    JINJA_OBJECT, /* cycler, joiner */
};

enum jinja_form { /* of a JINJA_LIST */
    FORM_LIST,
    FORM_TUPLE,
    FORM_RANGE,
    FORM_VIEW,      /* dict.items() and the like: has a length, no [] */
    FORM_GENERATOR, /* neither; empty after it was walked once */
};

struct jinja_value {
    uint8_t kind;
    bool safe;    /* JINJA_STR: markupsafe.Markup, which escapes what is added to it */
    uint32_t len; /* bytes of a text, of the name of an undefined value */
    union {
        bool b;
        int64_t i;
        double f;
        const char *s;
        struct jinja_list *list;
        struct jinja_dict *dict; /* also of a namespace */
        struct jinja_macro *macro;
        const struct jinja_function *function;
        struct jinja_bound *bound;
        struct jinja_loop *loop;
        struct jinja_object *object;
    };
};

struct jinja_list {
    struct jinja_value *items;
    uint32_t len, cap;
    enum jinja_form form;
};

struct jinja_pair {
    struct jinja_value key, value;
    uint32_t hash;
};

struct jinja_dict { /* in order of insertion */
    struct jinja_pair *pairs;
    uint32_t len, cap;
    uint32_t *index; /* open addressing, n_index a power of two; NULL while there are few pairs */
    uint32_t n_index;
};

struct jinja_args {
    struct jinja_value *pos;
    size_t n_pos;
    struct jinja_pair *named; /* keys are texts */
    size_t n_named;
};

struct jinja;

/* Something that templates can call: a filter, a test, a method, a global function. */
struct jinja_function {
    const char *name;
    /* `self` is what a filter, test or method is applied to. `a` are the arguments in the order of
     * `params`, JINJA_MISSING where not given; with params NULL a is NULL and `raw` has them all. */
    struct jinja_value (*call)(struct jinja *in, struct jinja_value self,
                               const struct jinja_value *a, const struct jinja_args *raw);
    const char *params; /* names separated by spaces, a '!' behind those that must be given */
};

struct jinja_bound {
    const struct jinja_function *function;
    struct jinja_value self;
};

struct jinja_object {
    const struct jinja_function *methods; /* ended by a NULL name; one named "" is the call itself */
    struct jinja_list *items;
    size_t at;
    struct jinja_value text;
};

/* ---- the tree ---- */

enum jinja_node_kind {
    /* expressions */
    NODE_CONST, NODE_NAME, NODE_LIST, NODE_TUPLE, NODE_DICT, NODE_ATTR, NODE_ITEM, NODE_SLICE,
    NODE_CALL, NODE_FILTER, NODE_TEST, NODE_UNARY, NODE_BINARY, NODE_CONCAT, NODE_COMPARE, NODE_AND,
    NODE_OR, NODE_NOT, NODE_COND, NODE_KWARG, NODE_STAR, NODE_DSTAR,
    /* statements */
    NODE_BODY, NODE_TEXT, NODE_OUTPUT, NODE_IF, NODE_FOR, NODE_SET, NODE_SET_BLOCK, NODE_MACRO,
    NODE_CALL_BLOCK, NODE_FILTER_BLOCK, NODE_BREAK, NODE_CONTINUE, NODE_DO, NODE_WITH,
};

struct jinja_node {
    uint8_t kind;
    uint8_t op;      /* of NODE_BINARY, NODE_UNARY; of kid i of NODE_COMPARE, in that kid's wrapper */
    uint16_t height; /* of the expression below, so that none is deeper than the stack allows */
    uint32_t line;
    uint32_t n;
    struct jinja_node *a, *b, *c;
    struct jinja_node **kids;
    struct jinja_value v; /* a constant; the text of a name */
    const struct jinja_function *function;
};

enum jinja_op {
    OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_FLOORDIV, OP_MOD, OP_POW, OP_NEG, OP_POS,
    OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_IN, OP_NOT_IN,
};

/* ---- tokens ---- */

enum jinja_token_kind {
    T_END, T_DATA, T_VAR_BEGIN, T_VAR_END, T_BLOCK_BEGIN, T_BLOCK_END, T_NAME, T_STRING, T_INT,
    T_FLOAT, T_OP,
};

struct jinja_token {
    uint8_t kind;
    char op[3]; /* of T_OP, NUL-terminated */
    uint32_t line;
    struct jinja_value v;
};

struct jinja_tokens {
    struct jinja_token *items;
    size_t len, cap;
};

struct jinja_template {
    struct jinja_arena arena;
    struct jinja_node *body;
    struct jinja_tokens tokens;
};

/* ---- parsing (jinja_lex.c, jinja_parse.c, jinja_expr.c) ---- */

enum { JINJA_MAX_NESTING = 200, JINJA_MAX_HEIGHT = 300 };

struct jinja_parser {
    struct jinja_arena *arena;
    struct jinja_token *tok; /* the next one; the last is T_END */
    unsigned nesting, loops;
    struct jinja_node spare;
    enum status st;
    struct error *err;
};

enum status jinja_lex(struct jinja_arena *a, const char *source, size_t len,
                      struct jinja_tokens *out, struct error *err);
/* Notes the first error, with the line of the next token. */
void jinja_parse_fail(struct jinja_parser *p, enum status st, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Never NULL before a failure; after one (p->st) the result must not be used. */
struct jinja_node *jinja_parse_body(struct jinja_parser *p);
struct jinja_node *jinja_parse_expression(struct jinja_parser *p, bool with_cond);
/* "a, b" is a tuple; stops before the name `stop` where that is not NULL. */
struct jinja_node *jinja_parse_tuple(struct jinja_parser *p, bool with_cond, bool names_only);
struct jinja_node *jinja_parse_filters(struct jinja_parser *p, struct jinja_node *x, bool inline_only);
struct jinja_node *jinja_parse_postfix(struct jinja_parser *p, struct jinja_node *x, bool filters);
struct jinja_node *jinja_parse_primary(struct jinja_parser *p);
struct jinja_node *jinja_node_new(struct jinja_parser *p, enum jinja_node_kind kind);
void jinja_node_add(struct jinja_parser *p, struct jinja_node *n, struct jinja_node *kid);
bool jinja_at_op(const struct jinja_parser *p, const char *op);
bool jinja_at_name(const struct jinja_parser *p, const char *name);
bool jinja_take_op(struct jinja_parser *p, const char *op);
bool jinja_take_name(struct jinja_parser *p, const char *name);
void jinja_want_op(struct jinja_parser *p, const char *op);

/* ---- a rendering ---- */

struct jinja_var {
    const char *name;
    uint32_t len;
    struct jinja_value value;
};

struct jinja_scope {
    struct jinja_scope *parent;
    struct jinja_var *vars;
    uint32_t len, cap;
};

struct jinja_out {
    char *data;
    size_t len, cap;
};

struct jinja_macro {
    const struct jinja_node *node;
    struct jinja_scope *scope; /* where it was defined */
};

struct jinja_loop {
    struct jinja_list *items;
    uint32_t at;
    struct jinja_value changed; /* what loop.changed saw last */
};

enum jinja_flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

struct jinja {
    struct jinja_arena arena;
    struct jinja_limits limits;
    int64_t now;
    bool (*own)(const char *key, const char *text, unsigned depth);
    uint64_t steps;
    size_t written;
    unsigned depth;
    struct jinja_scope *scope;
    struct jinja_out *out;
    uint32_t line;
    enum status st;
    struct error *err;
};

/* ---- state (jinja_state.c) ---- */

/* Notes the first failure; returns an undefined value. */
struct jinja_value jinja_fail(struct jinja *in, enum status st, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Charges the work; false once rendering has failed. */
bool jinja_step(struct jinja *in, uint64_t cost);
bool jinja_enter(struct jinja *in); /* false: too deep, or failed; no jinja_leave then */
void jinja_leave(struct jinja *in);
void *jinja_alloc(struct jinja *in, size_t bytes); /* NULL: failed */
void jinja_write(struct jinja *in, const char *s, size_t len);
void jinja_out_add(struct jinja *in, struct jinja_out *o, const char *s, size_t len);
void jinja_out_str(struct jinja *in, struct jinja_out *o, const char *s);
/* The same for bytes that stand for others, those at `like`, and are marked as the first of them is. */
void jinja_out_like(struct jinja *in, struct jinja_out *o, const char *s, size_t len, const char *like);
/* What was collected, as a text value that owns nothing. */
struct jinja_value jinja_out_value(const struct jinja_out *o);
struct jinja_scope *jinja_scope_push(struct jinja *in); /* returns the old one, to be put back */
void jinja_scope_set(struct jinja *in, struct jinja_scope *s, const char *name, size_t len,
                     struct jinja_value v);
/* JINJA_MISSING where there is none. */
struct jinja_value jinja_scope_get(const struct jinja_scope *s, const char *name, size_t len);

/* ---- values (jinja_value.c, jinja_dict.c, jinja_compare.c, jinja_print.c) ---- */

static inline struct jinja_value jinja_undefined(const char *name, size_t len)
{
    return (struct jinja_value){.kind = JINJA_UNDEFINED, .s = name, .len = (uint32_t)len};
}
static inline struct jinja_value jinja_none(void) { return (struct jinja_value){.kind = JINJA_NONE}; }
static inline struct jinja_value jinja_bool(bool b)
{
    return (struct jinja_value){.kind = JINJA_BOOL, .b = b};
}
static inline struct jinja_value jinja_int(int64_t i)
{
    return (struct jinja_value){.kind = JINJA_INT, .i = i};
}
static inline struct jinja_value jinja_float(double f)
{
    return (struct jinja_value){.kind = JINJA_FLOAT, .f = f};
}
/* Borrows; at most 4 GiB, which the limits of memory see to. */
static inline struct jinja_value jinja_str(const char *s, size_t len)
{
    return (struct jinja_value){.kind = JINJA_STR, .s = s, .len = (uint32_t)len};
}
struct jinja_value jinja_cstr(const char *s);
struct jinja_value jinja_copy(struct jinja *in, const char *s, size_t len);
struct jinja_value jinja_join2(struct jinja *in, struct jinja_value a, struct jinja_value b);
struct jinja_value jinja_escape(struct jinja *in, struct jinja_value x); /* &<>"' ; safe */
struct jinja_value jinja_list_new(struct jinja *in, enum jinja_form form);
void jinja_list_add(struct jinja *in, struct jinja_value list, struct jinja_value v);
struct jinja_value jinja_tuple2(struct jinja *in, struct jinja_value a, struct jinja_value b);
struct jinja_value jinja_dict_new(struct jinja *in);
void jinja_dict_set(struct jinja *in, struct jinja_value dict, struct jinja_value key,
                    struct jinja_value v);
/* NULL where the key is not there. */
struct jinja_pair *jinja_dict_find(struct jinja *in, const struct jinja_dict *d,
                                   struct jinja_value key);
struct jinja_pair *jinja_dict_find_str(const struct jinja_dict *d, const char *s, size_t len);
bool jinja_dict_remove(struct jinja *in, struct jinja_dict *d, struct jinja_value key,
                       struct jinja_value *out);
struct jinja_value jinja_from_json(struct jinja *in, const char *key, const json_t *j);

bool jinja_truth(const struct jinja *in, struct jinja_value v);
const char *jinja_type_name(struct jinja_value v); /* as Python's messages call it */
bool jinja_is(struct jinja_value v, const char *text); /* equal to an ASCII text */
bool jinja_is_number(struct jinja_value v);
double jinja_as_double(struct jinja_value v);
int64_t jinja_as_int(struct jinja_value v); /* bool or int */
bool jinja_want_int(struct jinja *in, struct jinja_value v, int64_t *out); /* else it fails */
bool jinja_want_str(struct jinja *in, struct jinja_value v); /* else it fails */
/* The items of anything that can be walked: a list as it is, a text's characters, a dict's keys, an
 * undefined value's none. NULL: failed. */
struct jinja_list *jinja_iter(struct jinja *in, struct jinja_value v);
/* ERR by -1: it has no length. */
int64_t jinja_length(struct jinja *in, struct jinja_value v);
bool jinja_equal(struct jinja *in, struct jinja_value a, struct jinja_value b);
/* <0, 0, >0; fails where the two have no order. */
int jinja_order(struct jinja *in, struct jinja_value a, struct jinja_value b, bool ignore_case);
bool jinja_contains(struct jinja *in, struct jinja_value box, struct jinja_value x);
/* Stable; fails as jinja_order does. keys[i] orders items[i], both are permuted. */
void jinja_sort(struct jinja *in, struct jinja_value *keys, struct jinja_value *items, size_t n,
                bool reverse, bool ignore_case);

struct jinja_value jinja_to_str(struct jinja *in, struct jinja_value v); /* Python's str() */
void jinja_repr(struct jinja *in, struct jinja_out *o, struct jinja_value v);
size_t jinja_format_float(double f, char dst[32]); /* Python's repr */
struct jinja_json_style {
    struct jinja_value indent; /* None, a number, a text */
    const char *item, *key;    /* separators */
    size_t item_len, key_len;
    bool ascii, sort;
};
void jinja_dump_json(struct jinja *in, struct jinja_out *o, struct jinja_value v,
                     const struct jinja_json_style *style);
/* Python's str.format and %. */
struct jinja_value jinja_format_braces(struct jinja *in, struct jinja_value fmt,
                                       const struct jinja_args *args);
struct jinja_value jinja_format_percent(struct jinja *in, struct jinja_value fmt,
                                        const struct jinja_args *args);

/* ---- texts by characters (jinja_chars.c) ---- */

size_t jinja_char_len(const char *s, const char *end); /* bytes of the character at s, 1..4 */
size_t jinja_count_chars(const char *s, size_t len);
/* Byte offset of character n (or len). */
size_t jinja_char_offset(const char *s, size_t len, size_t n);
int32_t jinja_decode_char(const char *s, size_t len); /* a byte that is no UTF-8: 0xDC00 + byte */
size_t jinja_encode_char(int32_t c, char dst[4]);
bool jinja_is_space(int32_t c);
bool jinja_is_printable(int32_t c);
/* Bytes to leave out at both ends; chars MISSING or None = white space. */
struct jinja_value jinja_strip(struct jinja_value s, struct jinja_value chars, bool left, bool right);
/* First place of `b` in `a` at or behind `from`, or SIZE_MAX. */
size_t jinja_find(struct jinja_value a, size_t from, struct jinja_value b);
struct jinja_value jinja_replace(struct jinja *in, struct jinja_value s, struct jinja_value old,
                                 struct jinja_value with, int64_t count);
enum jinja_case { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_CAPITAL, CASE_SWAP };
struct jinja_value jinja_case(struct jinja *in, struct jinja_value s, enum jinja_case how);
/* Words split at anything that is no letter, digit or apostrophe, as Jinja's title filter has it. */
struct jinja_value jinja_title_filter(struct jinja *in, struct jinja_value s);

/* ---- evaluation (jinja_eval.c, jinja_exec.c, jinja_call.c, jinja_ops.c) ---- */

struct jinja_value jinja_eval(struct jinja *in, const struct jinja_node *n);
enum jinja_flow jinja_exec(struct jinja *in, const struct jinja_node *n);
void jinja_assign(struct jinja *in, const struct jinja_node *target, struct jinja_value v);
struct jinja_value jinja_binary(struct jinja *in, enum jinja_op op, struct jinja_value a,
                                struct jinja_value b);
struct jinja_value jinja_unary(struct jinja *in, enum jinja_op op, struct jinja_value a);
bool jinja_compare(struct jinja *in, enum jinja_op op, struct jinja_value a, struct jinja_value b);
struct jinja_value jinja_attr(struct jinja *in, struct jinja_value x, const char *name, size_t len);
struct jinja_value jinja_item(struct jinja *in, struct jinja_value x, struct jinja_value key);
struct jinja_value jinja_slice(struct jinja *in, struct jinja_value x, struct jinja_value start,
                               struct jinja_value stop, struct jinja_value step);
/* "a.b.0" as the filters map, selectattr, ... take it; a number is an index. */
struct jinja_value jinja_attr_path(struct jinja *in, struct jinja_value x, struct jinja_value path);
void jinja_eval_args(struct jinja *in, const struct jinja_node *call, struct jinja_args *out);
struct jinja_value jinja_call(struct jinja *in, struct jinja_value f, const struct jinja_args *args);
struct jinja_value jinja_call_function(struct jinja *in, const struct jinja_function *f,
                                       struct jinja_value self, const struct jinja_args *args);
/* Runs a body into a text of its own. */
struct jinja_value jinja_capture(struct jinja *in, const struct jinja_node *body);

/* ---- registries (jinja_registry.c): NULL where there is none of that name ---- */

const struct jinja_function *jinja_filter_find(const char *name, size_t len);
const struct jinja_function *jinja_test_find(const char *name, size_t len);
const struct jinja_function *jinja_global_find(const char *name, size_t len);
const struct jinja_function *jinja_method_find(struct jinja_value v, const char *name, size_t len);

/* An argument that was not given is `otherwise`. */
static inline struct jinja_value jinja_or(struct jinja_value v, struct jinja_value otherwise)
{
    return v.kind == JINJA_MISSING ? otherwise : v;
}

#endif
