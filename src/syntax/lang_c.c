/* C. */
#include "syntax/syntax_int.h"

SYNTAX_GRAMMAR(c)

/* clang-format off */
static const struct syntax_rule rules[] = {
    {.node = "function_definition", .act = ACT_DEF, .kind = SYNTAX_KIND_FUNCTION,
     .roles = SYNTAX_FUNCTION, .name = "declarator"},
    {.node = "declaration", .act = ACT_DEF, .kind = SYNTAX_KIND_VARIABLE,
     .roles = SYNTAX_STATEMENT, .flags = RULE_OUTSIDE | RULE_JOIN | RULE_PROTOTYPE, .name = "declarator"},
    {.node = "type_definition", .act = ACT_DEF, .kind = SYNTAX_KIND_TYPE,
     .roles = SYNTAX_STATEMENT, .flags = RULE_JOIN, .name = "declarator"},
    {.node = "struct_specifier", .act = ACT_DEF, .kind = SYNTAX_KIND_STRUCT,
     .roles = SYNTAX_TYPE, .flags = RULE_NEEDS_BODY},
    {.node = "union_specifier", .act = ACT_DEF, .kind = SYNTAX_KIND_UNION,
     .roles = SYNTAX_TYPE, .flags = RULE_NEEDS_BODY},
    {.node = "enum_specifier", .act = ACT_DEF, .kind = SYNTAX_KIND_ENUM,
     .roles = SYNTAX_TYPE, .flags = RULE_NEEDS_BODY},
    {.node = "enumerator", .act = ACT_DEF, .kind = SYNTAX_KIND_CONSTANT, .flags = RULE_JOIN},
    {.node = "preproc_def", .act = ACT_DEF, .kind = SYNTAX_KIND_MACRO, .flags = RULE_JOIN},
    {.node = "preproc_function_def", .act = ACT_DEF, .kind = SYNTAX_KIND_MACRO,
     .flags = RULE_JOIN, .body = "value"},
    {.node = "preproc_include", .act = ACT_IMPORT, .roles = SYNTAX_IMPORT, .name = "path"},
    {.node = "call_expression", .act = ACT_CALL, .roles = SYNTAX_CALL},
    {.node = "preproc_ifdef", .flags = RULE_MEMBERS},
    {.node = "preproc_if", .flags = RULE_MEMBERS},
    {.node = "preproc_else", .flags = RULE_MEMBERS},
    {.node = "if_statement", .roles = SYNTAX_STATEMENT},
    {.node = "for_statement", .roles = SYNTAX_STATEMENT},
    {.node = "while_statement", .roles = SYNTAX_STATEMENT},
    {.node = "do_statement", .roles = SYNTAX_STATEMENT},
    {.node = "switch_statement", .roles = SYNTAX_STATEMENT},
    {.node = "case_statement", .roles = SYNTAX_STATEMENT},
    {.node = "return_statement", .roles = SYNTAX_STATEMENT},
    {.node = "break_statement", .roles = SYNTAX_STATEMENT},
    {.node = "continue_statement", .roles = SYNTAX_STATEMENT},
    {.node = "goto_statement", .roles = SYNTAX_STATEMENT},
    {.node = "labeled_statement", .roles = SYNTAX_STATEMENT},
    {.node = "expression_statement", .roles = SYNTAX_STATEMENT},
    {.node = "compound_statement", .roles = SYNTAX_BLOCK},
    {.node = "field_declaration_list", .roles = SYNTAX_BLOCK},
    {.node = "declaration_list", .roles = SYNTAX_BLOCK},
    {.node = "enumerator_list", .roles = SYNTAX_BLOCK},
    {.node = "argument_list", .roles = SYNTAX_ARGUMENTS},
    {.node = "parameter_list", .roles = SYNTAX_ARGUMENTS},
    {.node = "string_literal", .roles = SYNTAX_STRING},
    {.node = "char_literal", .roles = SYNTAX_STRING},
    {.node = "comment", .act = ACT_ATTACH, .roles = SYNTAX_COMMENT},
    {.node = "type_identifier", .act = ACT_TYPE},
    {.node = "identifier", .act = ACT_IDENT},
    {.node = "field_identifier", .act = ACT_IDENT},
    {.node = "linkage_specification", .flags = RULE_MEMBERS},
    {0},
};

static const char *const aliases[] = {"h", NULL};
static const char *const extensions[] = {"c", "h", NULL};
/* clang-format on */

const struct syntax_language syntax_lang_c = {
    .name = "c",
    .aliases = aliases,
    .extensions = extensions,
    .line_comment = "//",
    .grammar = grammar,
    .rules = rules,
};
