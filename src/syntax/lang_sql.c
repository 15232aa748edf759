/* SQL, of several dialects. */
#include "syntax/syntax_int.h"

SYNTAX_GRAMMAR(sql)

/* clang-format off */
static const struct syntax_rule rules[] = {
    {.node = "create_table", .act = ACT_DEF, .kind = SYNTAX_KIND_TABLE,
     .name = "<object_reference>|name", .body = "<column_definitions>"},
    {.node = "create_view", .act = ACT_DEF, .kind = SYNTAX_KIND_TABLE, .name = "<object_reference>|name"},
    {.node = "create_materialized_view", .act = ACT_DEF, .kind = SYNTAX_KIND_TABLE,
     .name = "<object_reference>|name"},
    {.node = "create_function", .act = ACT_DEF, .kind = SYNTAX_KIND_FUNCTION,
     .roles = SYNTAX_FUNCTION, .name = "<object_reference>|name", .body = "<function_body>"},
    {.node = "create_trigger", .act = ACT_DEF, .kind = SYNTAX_KIND_FUNCTION,
     .roles = SYNTAX_FUNCTION, .name = "<object_reference>|name"},
    {.node = "create_type", .act = ACT_DEF, .kind = SYNTAX_KIND_TYPE, .name = "<object_reference>|name"},
    {.node = "create_index", .act = ACT_DEF, .kind = SYNTAX_KIND_PROPERTY,
     .flags = RULE_JOIN, .name = "<identifier>|column"},
    {.node = "create_schema", .act = ACT_DEF, .kind = SYNTAX_KIND_MODULE,
     .flags = RULE_JOIN, .name = "<identifier>"},
    {.node = "create_sequence", .act = ACT_DEF, .kind = SYNTAX_KIND_VARIABLE,
     .flags = RULE_JOIN, .name = "<object_reference>|name"},
    {.node = "column_definition", .act = ACT_DEF, .kind = SYNTAX_KIND_FIELD, .flags = RULE_JOIN},
    {.node = "invocation", .act = ACT_CALL, .roles = SYNTAX_CALL, .name = "<object_reference>"},
    {.node = "relation", .act = ACT_CALL, .name = "<object_reference>"},
    {.node = "statement", .act = ACT_WRAP, .roles = SYNTAX_STATEMENT},
    {.node = "literal", .roles = SYNTAX_STRING},
    {.node = "comment", .act = ACT_ATTACH, .roles = SYNTAX_COMMENT},
    {.node = "marginalia", .act = ACT_ATTACH, .roles = SYNTAX_COMMENT},
    {.node = "identifier", .act = ACT_IDENT},
    {0},
};

static const char *const aliases[] = {"postgresql", "mysql", "sqlite", NULL};
static const char *const extensions[] = {"sql", "ddl", "dml", NULL};
/* clang-format on */

const struct syntax_language syntax_lang_sql = {
    .name = "sql",
    .aliases = aliases,
    .extensions = extensions,
    .line_comment = "--",
    .grammar = grammar,
    .rules = rules,
};
