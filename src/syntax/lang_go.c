/* Go. */
#include "syntax/syntax_int.h"

SYNTAX_GRAMMAR(go)

/* clang-format off */
static const struct syntax_rule rules[] = {
    {.node = "function_declaration", .act = ACT_DEF, .kind = SYNTAX_KIND_FUNCTION, .roles = SYNTAX_FUNCTION},
    {.node = "method_declaration", .act = ACT_DEF, .kind = SYNTAX_KIND_METHOD,
     .roles = SYNTAX_FUNCTION, .owner = "receiver"},
    {.node = "func_literal", .roles = SYNTAX_FUNCTION},
    {.node = "type_spec", .act = ACT_DEF, .kind = SYNTAX_KIND_TYPE, .roles = SYNTAX_TYPE, .body = "type"},
    {.node = "type_alias", .act = ACT_DEF, .kind = SYNTAX_KIND_TYPE,
     .roles = SYNTAX_TYPE, .flags = RULE_JOIN},
    {.node = "const_spec", .act = ACT_DEF, .kind = SYNTAX_KIND_CONSTANT, .flags = RULE_OUTSIDE | RULE_JOIN},
    {.node = "var_spec", .act = ACT_DEF, .kind = SYNTAX_KIND_VARIABLE, .flags = RULE_OUTSIDE | RULE_JOIN},
    {.node = "field_declaration", .act = ACT_DEF, .kind = SYNTAX_KIND_FIELD, .flags = RULE_JOIN},
    {.node = "method_elem", .act = ACT_DEF, .kind = SYNTAX_KIND_METHOD, .roles = SYNTAX_FUNCTION},
    {.node = "import_spec", .act = ACT_IMPORT, .roles = SYNTAX_IMPORT, .name = "path"},
    {.node = "import_declaration", .roles = SYNTAX_IMPORT, .flags = RULE_MEMBERS},
    {.node = "call_expression", .act = ACT_CALL, .roles = SYNTAX_CALL},
    {.node = "type_declaration", .act = ACT_WRAP},
    {.node = "const_declaration", .act = ACT_WRAP, .roles = SYNTAX_STATEMENT},
    {.node = "var_declaration", .act = ACT_WRAP, .roles = SYNTAX_STATEMENT},
    {.node = "if_statement", .roles = SYNTAX_STATEMENT},
    {.node = "for_statement", .roles = SYNTAX_STATEMENT},
    {.node = "expression_switch_statement", .roles = SYNTAX_STATEMENT},
    {.node = "type_switch_statement", .roles = SYNTAX_STATEMENT},
    {.node = "select_statement", .roles = SYNTAX_STATEMENT},
    {.node = "expression_case", .roles = SYNTAX_STATEMENT},
    {.node = "default_case", .roles = SYNTAX_STATEMENT},
    {.node = "return_statement", .roles = SYNTAX_STATEMENT},
    {.node = "go_statement", .roles = SYNTAX_STATEMENT},
    {.node = "defer_statement", .roles = SYNTAX_STATEMENT},
    {.node = "expression_statement", .roles = SYNTAX_STATEMENT},
    {.node = "assignment_statement", .roles = SYNTAX_STATEMENT},
    {.node = "short_var_declaration", .roles = SYNTAX_STATEMENT},
    {.node = "inc_statement", .roles = SYNTAX_STATEMENT},
    {.node = "dec_statement", .roles = SYNTAX_STATEMENT},
    {.node = "send_statement", .roles = SYNTAX_STATEMENT},
    {.node = "break_statement", .roles = SYNTAX_STATEMENT},
    {.node = "continue_statement", .roles = SYNTAX_STATEMENT},
    {.node = "goto_statement", .roles = SYNTAX_STATEMENT},
    {.node = "fallthrough_statement", .roles = SYNTAX_STATEMENT},
    {.node = "labeled_statement", .roles = SYNTAX_STATEMENT},
    {.node = "block", .roles = SYNTAX_BLOCK},
    {.node = "field_declaration_list", .roles = SYNTAX_BLOCK},
    {.node = "argument_list", .roles = SYNTAX_ARGUMENTS},
    {.node = "parameter_list", .roles = SYNTAX_ARGUMENTS},
    {.node = "interpreted_string_literal", .roles = SYNTAX_STRING},
    {.node = "raw_string_literal", .roles = SYNTAX_STRING},
    {.node = "rune_literal", .roles = SYNTAX_STRING},
    {.node = "comment", .act = ACT_ATTACH, .roles = SYNTAX_COMMENT},
    {.node = "type_identifier", .act = ACT_TYPE},
    {.node = "identifier", .act = ACT_IDENT},
    {.node = "field_identifier", .act = ACT_IDENT},
    {0},
};

static const char *const aliases[] = {"golang", NULL};
static const char *const extensions[] = {"go", NULL};
/* clang-format on */

const struct syntax_language syntax_lang_go = {
    .name = "go",
    .aliases = aliases,
    .extensions = extensions,
    .line_comment = "//",
    .grammar = grammar,
    .rules = rules,
};
