/* JavaScript, with JSX. */
#include "syntax/syntax_int.h"

SYNTAX_GRAMMAR(javascript)

/* clang-format off */
static const struct syntax_rule rules[] = {
    {.node = "function_declaration", .act = ACT_DEF, .kind = SYNTAX_KIND_FUNCTION, .roles = SYNTAX_FUNCTION},
    {.node = "generator_function_declaration", .act = ACT_DEF, .kind = SYNTAX_KIND_FUNCTION,
     .roles = SYNTAX_FUNCTION},
    {.node = "function_expression", .roles = SYNTAX_FUNCTION},
    {.node = "arrow_function", .roles = SYNTAX_FUNCTION},
    {.node = "generator_function", .roles = SYNTAX_FUNCTION},
    {.node = "class_declaration", .act = ACT_DEF, .kind = SYNTAX_KIND_CLASS,
     .roles = SYNTAX_TYPE, .flags = RULE_MEMBERS},
    {.node = "class", .act = ACT_DEF, .kind = SYNTAX_KIND_CLASS,
     .roles = SYNTAX_TYPE, .flags = RULE_MEMBERS},
    {.node = "method_definition", .act = ACT_DEF, .kind = SYNTAX_KIND_METHOD, .roles = SYNTAX_FUNCTION},
    {.node = "variable_declarator", .act = ACT_DEF, .kind = SYNTAX_KIND_VARIABLE,
     .flags = RULE_OUTSIDE | RULE_JOIN | RULE_VALUE, .body = "value"},
    {.node = "pair", .act = ACT_DEF, .kind = SYNTAX_KIND_PROPERTY,
     .flags = RULE_JOIN | RULE_NEEDS_VALUE, .name = "key", .body = "value"},
    {.node = "assignment_expression", .act = ACT_DEF, .kind = SYNTAX_KIND_VARIABLE,
     .flags = RULE_JOIN | RULE_NEEDS_VALUE, .name = "left", .body = "right"},
    {.node = "import_statement", .act = ACT_IMPORT, .roles = SYNTAX_IMPORT,
     .name = "source", .body = "<import_clause>"},
    {.node = "call_expression", .act = ACT_CALL, .roles = SYNTAX_CALL},
    {.node = "new_expression", .act = ACT_CALL, .roles = SYNTAX_CALL, .name = "constructor"},
    {.node = "decorator", .act = ACT_ATTACH},
    {.node = "export_statement", .act = ACT_WRAP},
    {.node = "lexical_declaration", .act = ACT_WRAP, .roles = SYNTAX_STATEMENT},
    {.node = "variable_declaration", .act = ACT_WRAP, .roles = SYNTAX_STATEMENT},
    {.node = "expression_statement", .act = ACT_WRAP, .roles = SYNTAX_STATEMENT},
    {.node = "if_statement", .roles = SYNTAX_STATEMENT},
    {.node = "for_statement", .roles = SYNTAX_STATEMENT},
    {.node = "for_in_statement", .roles = SYNTAX_STATEMENT},
    {.node = "while_statement", .roles = SYNTAX_STATEMENT},
    {.node = "do_statement", .roles = SYNTAX_STATEMENT},
    {.node = "switch_statement", .roles = SYNTAX_STATEMENT},
    {.node = "switch_case", .roles = SYNTAX_STATEMENT},
    {.node = "return_statement", .roles = SYNTAX_STATEMENT},
    {.node = "throw_statement", .roles = SYNTAX_STATEMENT},
    {.node = "try_statement", .roles = SYNTAX_STATEMENT},
    {.node = "catch_clause", .roles = SYNTAX_STATEMENT},
    {.node = "finally_clause", .roles = SYNTAX_STATEMENT},
    {.node = "break_statement", .roles = SYNTAX_STATEMENT},
    {.node = "continue_statement", .roles = SYNTAX_STATEMENT},
    {.node = "labeled_statement", .roles = SYNTAX_STATEMENT},
    {.node = "statement_block", .roles = SYNTAX_BLOCK},
    {.node = "class_body", .roles = SYNTAX_BLOCK},
    {.node = "arguments", .roles = SYNTAX_ARGUMENTS},
    {.node = "formal_parameters", .roles = SYNTAX_ARGUMENTS},
    {.node = "string", .roles = SYNTAX_STRING},
    {.node = "template_string", .roles = SYNTAX_STRING},
    {.node = "regex", .roles = SYNTAX_STRING},
    {.node = "comment", .act = ACT_ATTACH, .roles = SYNTAX_COMMENT},
    {.node = "field_definition", .act = ACT_DEF, .kind = SYNTAX_KIND_FIELD,
     .flags = RULE_JOIN | RULE_VALUE, .name = "property", .body = "value"},
    {.node = "identifier", .act = ACT_IDENT},
    {.node = "property_identifier", .act = ACT_IDENT},
    {.node = "shorthand_property_identifier", .act = ACT_IDENT},
    {0},
};

static const char *const aliases[] = {"js", "jsx", "node", "mjs", NULL};
static const char *const extensions[] = {"js", "jsx", "mjs", "cjs", NULL};
static const char *const interpreters[] = {"node", "deno", "bun", NULL};
static const char *const import_calls[] = {"require", NULL};
/* clang-format on */

const struct syntax_language syntax_lang_javascript = {
    .name = "javascript",
    .aliases = aliases,
    .extensions = extensions,
    .interpreters = interpreters,
    .line_comment = "//",
    .import_calls = import_calls,
    .grammar = grammar,
    .rules = rules,
};
