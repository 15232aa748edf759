/* Inside of the interpreter of Go templates: the tree, values and the state of a rendering.
 *
 * Failure is sticky, as in jinja_int.h: the first error stays in the state, every later operation
 * does nothing and gives nil, and each loop asks gt_step before it goes on. */
#ifndef HEARTH_TEXT_GOTMPL_INT_H
#define HEARTH_TEXT_GOTMPL_INT_H

#include "text/gotmpl.h"
#include "text/jinja_int.h" /* its arena */

struct gt_text {
    const char *s;
    size_t len;
};

/* ---- tokens of one action (gotmpl_lex.c) ---- */

enum gt_token_kind {
    GT_END,
    GT_SPACE,
    GT_DOT,
    GT_FIELD /* text: without its dot */,
    GT_VARIABLE /* with its $ */,
    GT_WORD,
    GT_STRING /* decoded */,
    GT_INTEGER,
    GT_REAL,
    GT_OP, /* | := = , ( ) */
};
struct gt_token {
    enum gt_token_kind kind;
    struct gt_text text;
    int64_t i;
    double f;
    uint32_t line;
};

/* ---- the tree ---- */

struct gt_name {
    struct gt_text name;
    struct gt_name *next;
};

enum gt_term_kind {
    GT_T_DOT,
    GT_T_NIL,
    GT_T_BOOL,
    GT_T_INT,
    GT_T_FLOAT,
    GT_T_STRING,
    GT_T_FIELD,
    GT_T_VARIABLE,
    GT_T_FUNCTION,
    GT_T_PIPE,
};
struct gt_term {
    enum gt_term_kind kind;
    struct gt_text text;    /* of a string, variable or function */
    struct gt_name *fields; /* of a field, and behind a variable or a pipe */
    struct gt_pipe *pipe;
    const struct gt_function *function;
    int64_t i;
    double f;
    struct gt_term *next;
};
struct gt_command {
    struct gt_term *args; /* the first is what is called, or the value */
    size_t n;
    struct gt_command *next;
};
struct gt_pipe {
    struct gt_text decl[2];
    unsigned n_decl;
    bool assign;
    uint32_t line;
    struct gt_command *commands;
};

enum gt_node_kind {
    GT_N_TEXT,
    GT_N_ACTION,
    GT_N_IF,
    GT_N_RANGE,
    GT_N_WITH,
    GT_N_TEMPLATE,
    GT_N_BREAK,
    GT_N_CONTINUE
};
struct gt_node {
    enum gt_node_kind kind;
    uint32_t line, order; /* its place in the source */
    struct gt_text text;  /* or a template's name */
    struct gt_pipe *pipe; /* may be NULL of a template */
    struct gt_node *body, *otherwise, *next;
};
struct gt_define {
    struct gt_text name;
    struct gt_node *body;
    struct gt_define *next;
};

struct gotmpl {
    struct jinja_arena arena;
    struct gt_node *body;
    struct gt_define *defines;
    struct gt_name *names;   /* all fields and variables that occur */
    uint32_t response_order; /* of the first action that writes .Response; UINT32_MAX: none */
    uint32_t own_order;      /* of the last node that the source itself has */
    bool messages, response; /* some name is one of these, in any case */
};

/* ---- compiling ---- */

enum {
    GT_MAX_SOURCE = 1 << 20,
    GT_MAX_NESTING = 200,
    GT_MAX_TEMPLATES = 100,
    GT_MAX_TOKENS = 1 << 16,
    GT_MAX_NAMES = 1000
};

struct gt_parser {
    struct gotmpl *t;
    const char *at, *end; /* source not read yet */
    uint32_t line, order;
    bool trim;            /* what follows begins without white space */
    struct gt_token *tok; /* of the current action; the last is GT_END */
    unsigned nesting, loops, n_decls, n_defines;
    bool writes;          /* the current action's value is output */
    struct gt_name *vars; /* in scope */
    enum status st;
    struct error *err;
};
void gt_parse_fail(struct gt_parser *p, enum status st, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void *gt_parse_alloc(struct gt_parser *p, size_t bytes); /* zeroed; NULL: failed */
/* The next text (*text, perhaps empty), and with true an action's tokens behind it in p->tok. */
bool gt_lex_next(struct gt_parser *p, struct gt_text *text);
/* A pipeline of the current action; context names it in errors. */
struct gt_pipe *gt_parse_pipe(struct gt_parser *p, const char *context, bool in_parens);
bool gt_token_is(const struct gt_token *t, const char *word);

/* ---- values ---- */

enum gt_kind { GT_NIL, GT_BOOL, GT_INT, GT_FLOAT, GT_STR, GT_LIST, GT_MAP };

/* How a list or a map is written as text. */
enum gt_form {
    GT_PLAIN,  /* [a b], map[k:v] */
    GT_STRUCT, /* {a b}; a field it has not is an error */
    GT_JSON,   /* as JSON; also a struct, then with only its own fields */
    GT_TYPES,  /* a list of type names, alone without brackets */
};
struct gt_value {
    enum gt_kind kind;
    bool foreign; /* of a text without marks: it came with the conversation */
    union {
        bool b;
        int64_t i;
        double f;
        struct {
            const char *s, *marks; /* marks: a byte for each, or NULL */
            size_t len;
        };
        const struct gt_list *list;
        const struct gt_map *map;
    };
};
struct gt_list {
    struct gt_value *items;
    size_t n;
    enum gt_form form;
    bool nil;         /* null as JSON */
    const char *type; /* in Go; NULL: []interface {} */
};
struct gt_pair {
    struct gt_text key, json; /* json: the name in JSON, empty for the same */
    struct gt_value value;
    bool omit; /* from JSON where it is empty */
};
struct gt_map {
    struct gt_pair *pairs; /* of a map sorted by key, of a struct in order */
    size_t n;
    enum gt_form form;
    bool fixed; /* a struct */
    bool nil;   /* null as JSON */
    const char *type;
};

/* ---- a rendering ---- */

struct gt_out {
    char *data, *marks;
    size_t len, cap;
};
struct gt_variable {
    struct gt_text name;
    struct gt_value value;
};
struct gt_state {
    const struct gotmpl *t;
    struct jinja_arena arena;
    struct gotmpl_limits limits;
    int64_t now;
    uint64_t steps;
    size_t written;
    unsigned depth;
    struct gt_variable *vars;
    size_t n_vars, cap_vars;
    struct gt_out out;
    uint32_t cut; /* nodes behind this one are left out */
    uint32_t line;
    enum status st;
    struct error *err;
};

void gt_fail(struct gt_state *in, enum status st, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool gt_step(struct gt_state *in, uint64_t cost);
void *gt_alloc(struct gt_state *in, size_t bytes); /* NULL: failed */
/* marks NULL: all bytes are `foreign` or not. */
void gt_out_add(struct gt_state *in, struct gt_out *o, const char *s, size_t len, const char *marks,
                bool foreign);
void gt_out_str(struct gt_state *in, struct gt_out *o, const char *s);
struct gt_value gt_out_value(const struct gt_out *o);

static inline struct gt_value gt_nil(void)
{
    return (struct gt_value){.kind = GT_NIL};
}
static inline struct gt_value gt_bool(bool b)
{
    return (struct gt_value){.kind = GT_BOOL, .b = b};
}
static inline struct gt_value gt_int(int64_t i)
{
    return (struct gt_value){.kind = GT_INT, .i = i};
}
static inline struct gt_value gt_str(const char *s, size_t len, bool foreign)
{
    struct gt_value v = {.kind = GT_STR, .foreign = foreign};
    v.s = s, v.len = len;
    return v;
}

bool gt_truth(const struct gt_value *v);
const char *gt_type_name(const struct gt_value *v);
/* NULL where the map has no such key. */
const struct gt_value *gt_map_get(const struct gt_map *m, struct gt_text key);
struct gt_value gt_from_json(struct gt_state *in, const json_t *j, unsigned depth);
/* fmt's %v; `inside` of a list, map or struct. */
void gt_print(struct gt_state *in, struct gt_out *o, const struct gt_value *v, unsigned depth);
void gt_print_json(struct gt_state *in, struct gt_out *o, const struct gt_value *v, unsigned depth);
size_t gt_format_float(double f, char kind, int precision, char dst[400]);
/* fmt.Sprintf (gotmpl_format.c). */
struct gt_value gt_sprintf(struct gt_state *in, struct gt_text format, const char *marks,
                           bool foreign, const struct gt_value *args, size_t n);

struct gt_function {
    const char *name;
    size_t min, max; /* arguments; SIZE_MAX: any number */
    struct gt_value (*call)(struct gt_state *in, const struct gt_value *args, size_t n);
};
const struct gt_function *gt_function_find(struct gt_text name); /* NULL where there is none */

/* Runs the template with `dot` for the data; appends to in->out. */
void gt_execute(struct gt_state *in, struct gt_value dot);

/* The data of a conversation (gotmpl_chat.c). */
void gt_run_chat(struct gt_state *in, const json_t *request);

#endif
