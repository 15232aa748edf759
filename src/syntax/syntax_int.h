/* What the files of this module share: how a language is described, the arena, the steps of reading. */
#ifndef HEARTH_SYNTAX_SYNTAX_INT_H
#define HEARTH_SYNTAX_SYNTAX_INT_H

#include "syntax/syntax_facts.h"
#include "syntax/language.h"
#include "syntax/tree.h"

typedef struct TSLanguage TSLanguage; /* tree-sitter's name, so that its header is needed in few files */

/* What the walk does at a node. */
enum syntax_act {
    ACT_NONE,    /* roles only */
    ACT_DEF,     /* a definition: `name` and `body` say where its parts are */
    ACT_WRAP,    /* belongs to the definition inside: export, decorators, template<> */
    ACT_ATTACH,  /* belongs to the definition behind it: comments, attributes */
    ACT_CALL,    /* a reference; `name` is the field of what is called */
    ACT_TYPE,    /* a leaf that names a type */
    ACT_IDENT,   /* a leaf that names anything else */
    ACT_IMPORT,  /* an import; `name` is the field or kind that holds the target */
};
enum syntax_rule_flag {
    RULE_MEMBERS = 1,    /* holds definitions that deserve chunks of their own */
    RULE_OUTSIDE = 2,    /* a definition outside of functions only */
    RULE_JOIN = 4,       /* so small that neighbours share a chunk */
    RULE_DOCSTRING = 8,  /* the body's first string tells what it does */
    RULE_VALUE = 16,     /* a function where the field "value" is one; else a variable */
    RULE_NEEDS_BODY = 32,/* "struct x" without a body only refers to it */
    RULE_PROTOTYPE = 64, /* C's declarations: a function where the declarator is one */
    RULE_NEEDS_VALUE = 128, /* a definition only where the value is a function */
};

/* One kind of node of a grammar. Names of parts are paths of steps joined by '/': a field's name, or a
 * node kind in angle brackets, "<type_identifier>", for the first child of it. Alternatives are joined
 * by '|', and the first that is there counts. */
struct syntax_rule {
    const char *node;
    enum syntax_act act;
    enum syntax_kind kind;
    unsigned roles;   /* of enum syntax_role */
    unsigned flags;   /* of enum syntax_rule_flag */
    const char *name; /* NULL = "name" */
    const char *body; /* NULL = "body" */
    const char *owner; /* a part whose first type name is the scope (Go's receivers); or NULL */
};

struct syntax_language {
    const char *name;
    const char *const *aliases;      /* other names; NULL-ended, or NULL */
    const char *const *extensions;   /* without the dot, lower case */
    const char *const *files;        /* whole file names */
    const char *const *interpreters; /* of "#!" lines, without digits at the end */
    const char *line_comment;
    const char *const *import_calls; /* functions whose first string is an import; or NULL */
    const TSLanguage *(*grammar)(void);
    const struct syntax_rule *rules; /* ended by a NULL node */
    /* True for a text that the grammar's scanner cannot take; or NULL. */
    bool (*unfit)(const char *text, size_t len);
};

/* A language's rules by the grammar's symbol numbers; made once, on first use. NULL without a grammar or
 * memory. */
struct syntax_table {
    const TSLanguage *grammar;
    uint32_t n_symbols;
    const struct syntax_rule **by_symbol; /* NULL entries: no rule */
};
const struct syntax_table *syntax_table_of(const struct syntax_language *l);

/* Tree-sitter's own objects inside ours. */
struct syntax_tree {
    const struct syntax_language *language;
    const struct syntax_table *table;
    struct TSTree *ts;
    size_t len;
};

/* Memory that is freed as a whole. After a failed allocation it stays failed. */
struct syntax_block;
struct syntax_arena {
    struct syntax_block *blocks;
    size_t used;
    bool failed;
};
void *syntax_arena_alloc(struct syntax_arena *a, size_t bytes, size_t align);
/* A copy with a NUL behind it; NULL when memory is out. */
char *syntax_arena_text(struct syntax_arena *a, const char *text, size_t len);
void syntax_arena_fini(struct syntax_arena *a);

/* Where a chunk may begin, and what the text from here on is. */
struct syntax_cut {
    uint32_t begin;
    int32_t owner; /* index of a definition, or -1 */
    enum syntax_kind kind;
    bool hard;     /* begins a chunk whatever stands before */
    bool own;      /* the owner begins here (else a later part of it) */
    bool whole;    /* all of a hard definition is behind this one cut: nothing joins it */
};
struct syntax_cuts {
    struct syntax_cut *items; /* owned, malloc'd */
    size_t len, cap;
    bool failed;
};

/* When work has to end: a moment of the clock, or of the thread's own time. */
struct syntax_deadline {
    double until;
    bool own;
};
struct syntax_deadline syntax_deadline_of(const struct syntax_limits *l);
bool syntax_deadline_over(const struct syntax_deadline *d);

/* What the walk gathers; the arrays are malloc'd until the facts take them over. */
struct syntax_build {
    const char *text;
    uint32_t len;
    const struct syntax_language *language; /* or NULL */
    unsigned want;
    uint32_t target_bytes, max_bytes;
    const struct syntax_limits *limits; /* or NULL */
    struct syntax_arena arena;
    struct syntax_cuts cuts;
    struct syntax_definition *definitions;
    const char **docs; /* beside definitions */
    size_t n_definitions, cap_definitions;
    struct syntax_reference *references;
    size_t n_references, cap_references;
    struct syntax_import *imports;
    size_t n_imports, cap_imports;
    struct syntax_chunk *chunks;
    size_t n_chunks, cap_chunks;
    size_t n_errors;
    bool truncated, failed;
    enum status stop; /* ERR_CANCELLED or ERR_LIMIT, from the walk */
};

/* Adds a cut, moved to its line's beginning, unless it would be inside a line that need not be broken. A cut
 * that begins a definition takes the place of plain ones at or behind it, such as a comment's. */
void syntax_cut_add(struct syntax_build *b, struct syntax_cut cut);
/* Turns cuts into chunks: joins small neighbours, splits what is too large. */
void syntax_chunks_make(struct syntax_build *b);
/* The walk over a tree: fills all but the chunks. */
void syntax_walk(struct syntax_build *b, const struct syntax_tree *t);
/* Makes room for one more element of `bytes`; false at `max` or when memory is out. */
bool syntax_room(struct syntax_build *b, void **items, size_t *cap, size_t len, size_t max,
                 size_t bytes);

/* Where text[begin..end) is cut so that no piece is longer than max: at blank lines or lines that are less
 * indented in its second half, else at the last line's end, else inside a line (between characters). */
uint32_t syntax_plain_cut(const char *text, uint32_t begin, uint32_t end, uint32_t max);

/* White space folded to single blanks, ends trimmed, cut at max bytes between characters. */
char *syntax_fold(struct syntax_arena *a, const char *text, size_t len, size_t max);
/* A comment's or docstring's text without its marks, lines kept, cut at max bytes. */
char *syntax_doc_text(struct syntax_arena *a, const char *text, size_t len, size_t max);

/* Every language of the registry, one file each. */
extern const struct syntax_language syntax_lang_bash, syntax_lang_c, syntax_lang_cpp,
    syntax_lang_csharp, syntax_lang_css, syntax_lang_go, syntax_lang_html, syntax_lang_java,
    syntax_lang_javascript, syntax_lang_json, syntax_lang_lua, syntax_lang_markdown,
    syntax_lang_php, syntax_lang_python, syntax_lang_ruby, syntax_lang_rust, syntax_lang_sql,
    syntax_lang_toml, syntax_lang_tsx, syntax_lang_typescript, syntax_lang_yaml;

#ifdef HEARTH_GRAMMARS
#define SYNTAX_GRAMMAR(NAME)                        \
    const TSLanguage *tree_sitter_##NAME(void);     \
    static const TSLanguage *grammar(void)          \
    {                                               \
        return tree_sitter_##NAME();                \
    }
#else
#define SYNTAX_GRAMMAR(NAME)               \
    static const TSLanguage *grammar(void) \
    {                                      \
        return NULL;                       \
    }
#endif

#endif
