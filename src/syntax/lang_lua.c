/* Lua. */
#include "syntax/syntax_int.h"

SYNTAX_GRAMMAR(lua)

/* clang-format off */
static const struct syntax_rule rules[] = {
    {.node = "function_declaration", .act = ACT_DEF, .kind = SYNTAX_KIND_FUNCTION, .roles = SYNTAX_FUNCTION},
    {.node = "function_definition", .roles = SYNTAX_FUNCTION},
    {.node = "assignment_statement", .act = ACT_DEF, .kind = SYNTAX_KIND_VARIABLE,
     .roles = SYNTAX_STATEMENT, .flags = RULE_JOIN | RULE_NEEDS_VALUE, .name = "<variable_list>/name"},
    {.node = "field", .act = ACT_DEF, .kind = SYNTAX_KIND_PROPERTY,
     .flags = RULE_JOIN | RULE_NEEDS_VALUE, .body = "value"},
    {.node = "function_call", .act = ACT_CALL, .roles = SYNTAX_CALL, .name = "name"},
    {.node = "variable_declaration", .act = ACT_WRAP, .roles = SYNTAX_STATEMENT},
    {.node = "if_statement", .roles = SYNTAX_STATEMENT},
    {.node = "for_statement", .roles = SYNTAX_STATEMENT},
    {.node = "while_statement", .roles = SYNTAX_STATEMENT},
    {.node = "repeat_statement", .roles = SYNTAX_STATEMENT},
    {.node = "do_statement", .roles = SYNTAX_STATEMENT},
    {.node = "return_statement", .roles = SYNTAX_STATEMENT},
    {.node = "elseif_statement", .roles = SYNTAX_STATEMENT},
    {.node = "else_statement", .roles = SYNTAX_STATEMENT},
    {.node = "block", .roles = SYNTAX_BLOCK},
    {.node = "arguments", .roles = SYNTAX_ARGUMENTS},
    {.node = "parameters", .roles = SYNTAX_ARGUMENTS},
    {.node = "string", .roles = SYNTAX_STRING},
    {.node = "comment", .act = ACT_ATTACH, .roles = SYNTAX_COMMENT},
    {.node = "identifier", .act = ACT_IDENT},
    {0},
};

static const char *const extensions[] = {"lua", NULL};
static const char *const interpreters[] = {"lua", "luajit", NULL};
static const char *const import_calls[] = {"require", NULL};
/* clang-format on */

const struct syntax_language syntax_lang_lua = {
    .name = "lua",
    .extensions = extensions,
    .interpreters = interpreters,
    .line_comment = "--",
    .import_calls = import_calls,
    .grammar = grammar,
    .rules = rules,
};
