/* Rust. */
#include "syntax/syntax_int.h"

SYNTAX_GRAMMAR(rust)

/* clang-format off */
static const struct syntax_rule rules[] = {
    {.node = "function_item", .act = ACT_DEF, .kind = SYNTAX_KIND_FUNCTION, .roles = SYNTAX_FUNCTION},
    {.node = "function_signature_item", .act = ACT_DEF, .kind = SYNTAX_KIND_FUNCTION,
     .roles = SYNTAX_FUNCTION},
    {.node = "closure_expression", .roles = SYNTAX_FUNCTION},
    {.node = "struct_item", .act = ACT_DEF, .kind = SYNTAX_KIND_STRUCT, .roles = SYNTAX_TYPE},
    {.node = "enum_item", .act = ACT_DEF, .kind = SYNTAX_KIND_ENUM, .roles = SYNTAX_TYPE},
    {.node = "union_item", .act = ACT_DEF, .kind = SYNTAX_KIND_UNION, .roles = SYNTAX_TYPE},
    {.node = "trait_item", .act = ACT_DEF, .kind = SYNTAX_KIND_TRAIT,
     .roles = SYNTAX_TYPE, .flags = RULE_MEMBERS},
    {.node = "impl_item", .act = ACT_DEF, .kind = SYNTAX_KIND_IMPL,
     .roles = SYNTAX_TYPE, .flags = RULE_MEMBERS, .name = "type"},
    {.node = "mod_item", .act = ACT_DEF, .kind = SYNTAX_KIND_MODULE, .flags = RULE_MEMBERS},
    {.node = "type_item", .act = ACT_DEF, .kind = SYNTAX_KIND_TYPE, .flags = RULE_JOIN},
    {.node = "const_item", .act = ACT_DEF, .kind = SYNTAX_KIND_CONSTANT,
     .roles = SYNTAX_STATEMENT, .flags = RULE_OUTSIDE | RULE_JOIN},
    {.node = "static_item", .act = ACT_DEF, .kind = SYNTAX_KIND_VARIABLE,
     .roles = SYNTAX_STATEMENT, .flags = RULE_OUTSIDE | RULE_JOIN},
    {.node = "macro_definition", .act = ACT_DEF, .kind = SYNTAX_KIND_MACRO},
    {.node = "field_declaration", .act = ACT_DEF, .kind = SYNTAX_KIND_FIELD, .flags = RULE_JOIN},
    {.node = "enum_variant", .act = ACT_DEF, .kind = SYNTAX_KIND_CONSTANT, .flags = RULE_JOIN},
    {.node = "use_declaration", .act = ACT_IMPORT, .roles = SYNTAX_IMPORT, .name = "argument"},
    {.node = "extern_crate_declaration", .act = ACT_IMPORT, .roles = SYNTAX_IMPORT},
    {.node = "call_expression", .act = ACT_CALL, .roles = SYNTAX_CALL},
    {.node = "macro_invocation", .act = ACT_CALL, .roles = SYNTAX_CALL, .name = "macro"},
    {.node = "struct_expression", .act = ACT_CALL, .roles = SYNTAX_CALL, .name = "name"},
    {.node = "attribute_item", .act = ACT_ATTACH},
    {.node = "inner_attribute_item", .act = ACT_ATTACH},
    {.node = "let_declaration", .roles = SYNTAX_STATEMENT},
    {.node = "expression_statement", .roles = SYNTAX_STATEMENT},
    {.node = "block", .roles = SYNTAX_BLOCK},
    {.node = "declaration_list", .roles = SYNTAX_BLOCK},
    {.node = "field_declaration_list", .roles = SYNTAX_BLOCK},
    {.node = "enum_variant_list", .roles = SYNTAX_BLOCK},
    {.node = "match_block", .roles = SYNTAX_BLOCK},
    {.node = "match_arm", .roles = SYNTAX_BLOCK},
    {.node = "arguments", .roles = SYNTAX_ARGUMENTS},
    {.node = "parameters", .roles = SYNTAX_ARGUMENTS},
    {.node = "string_literal", .roles = SYNTAX_STRING},
    {.node = "raw_string_literal", .roles = SYNTAX_STRING},
    {.node = "char_literal", .roles = SYNTAX_STRING},
    {.node = "line_comment", .act = ACT_ATTACH, .roles = SYNTAX_COMMENT},
    {.node = "block_comment", .act = ACT_ATTACH, .roles = SYNTAX_COMMENT},
    {.node = "type_identifier", .act = ACT_TYPE},
    {.node = "identifier", .act = ACT_IDENT},
    {.node = "field_identifier", .act = ACT_IDENT},
    {0},
};

static const char *const aliases[] = {"rs", NULL};
static const char *const extensions[] = {"rs", NULL};
/* clang-format on */

const struct syntax_language syntax_lang_rust = {
    .name = "rust",
    .aliases = aliases,
    .extensions = extensions,
    .line_comment = "//",
    .grammar = grammar,
    .rules = rules,
};
