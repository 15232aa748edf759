/* Python. */
#include "syntax/syntax_int.h"

SYNTAX_GRAMMAR(python)

/* clang-format off */
static const struct syntax_rule rules[] = {
    {.node = "function_definition", .act = ACT_DEF, .kind = SYNTAX_KIND_FUNCTION,
     .roles = SYNTAX_FUNCTION, .flags = RULE_DOCSTRING},
    {.node = "class_definition", .act = ACT_DEF, .kind = SYNTAX_KIND_CLASS,
     .roles = SYNTAX_TYPE, .flags = RULE_MEMBERS | RULE_DOCSTRING},
    {.node = "assignment", .act = ACT_DEF, .kind = SYNTAX_KIND_VARIABLE,
     .flags = RULE_OUTSIDE | RULE_JOIN, .name = "left", .body = "right"},
    {.node = "import_statement", .act = ACT_IMPORT, .roles = SYNTAX_IMPORT, .name = "name"},
    {.node = "import_from_statement", .act = ACT_IMPORT, .roles = SYNTAX_IMPORT,
     .name = "module_name", .body = "name"},
    {.node = "future_import_statement", .roles = SYNTAX_IMPORT},
    {.node = "call", .act = ACT_CALL, .roles = SYNTAX_CALL},
    {.node = "lambda", .roles = SYNTAX_FUNCTION},
    {.node = "decorator", .act = ACT_ATTACH},
    {.node = "decorated_definition", .act = ACT_WRAP},
    {.node = "expression_statement", .act = ACT_WRAP, .roles = SYNTAX_STATEMENT},
    {.node = "type", .act = ACT_TYPE},
    {.node = "if_statement", .roles = SYNTAX_STATEMENT},
    {.node = "for_statement", .roles = SYNTAX_STATEMENT},
    {.node = "while_statement", .roles = SYNTAX_STATEMENT},
    {.node = "try_statement", .roles = SYNTAX_STATEMENT},
    {.node = "with_statement", .roles = SYNTAX_STATEMENT},
    {.node = "match_statement", .roles = SYNTAX_STATEMENT},
    {.node = "return_statement", .roles = SYNTAX_STATEMENT},
    {.node = "raise_statement", .roles = SYNTAX_STATEMENT},
    {.node = "assert_statement", .roles = SYNTAX_STATEMENT},
    {.node = "delete_statement", .roles = SYNTAX_STATEMENT},
    {.node = "pass_statement", .roles = SYNTAX_STATEMENT},
    {.node = "break_statement", .roles = SYNTAX_STATEMENT},
    {.node = "continue_statement", .roles = SYNTAX_STATEMENT},
    {.node = "global_statement", .roles = SYNTAX_STATEMENT},
    {.node = "elif_clause", .roles = SYNTAX_STATEMENT},
    {.node = "else_clause", .roles = SYNTAX_STATEMENT},
    {.node = "except_clause", .roles = SYNTAX_STATEMENT},
    {.node = "finally_clause", .roles = SYNTAX_STATEMENT},
    {.node = "case_clause", .roles = SYNTAX_STATEMENT},
    {.node = "block", .roles = SYNTAX_BLOCK},
    {.node = "argument_list", .roles = SYNTAX_ARGUMENTS},
    {.node = "parameters", .roles = SYNTAX_ARGUMENTS},
    {.node = "string", .roles = SYNTAX_STRING},
    {.node = "comment", .act = ACT_ATTACH, .roles = SYNTAX_COMMENT},
    {.node = "identifier", .act = ACT_IDENT},
    {0},
};

static const char *const aliases[] = {"py", "python3", NULL};
static const char *const extensions[] = {"py", "pyi", "pyw", NULL};
static const char *const interpreters[] = {"python", "pypy", NULL};
/* clang-format on */

const struct syntax_language syntax_lang_python = {
    .name = "python",
    .aliases = aliases,
    .extensions = extensions,
    .interpreters = interpreters,
    .line_comment = "#",
    .grammar = grammar,
    .rules = rules,
};
