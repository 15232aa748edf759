/* CSS. */
#include "syntax/syntax_int.h"

SYNTAX_GRAMMAR(css)

/* clang-format off */
static const struct syntax_rule rules[] = {
    {.node = "rule_set", .act = ACT_DEF, .kind = SYNTAX_KIND_RULE,
     .roles = SYNTAX_STATEMENT, .name = "<selectors>", .body = "<block>"},
    {.node = "media_statement", .act = ACT_DEF, .kind = SYNTAX_KIND_RULE,
     .roles = SYNTAX_STATEMENT, .flags = RULE_MEMBERS, .name = "<feature_query>|<binary_query>|<keyword_query>|<parenthesized_query>", .body = "<block>"},
    {.node = "keyframes_statement", .act = ACT_DEF, .kind = SYNTAX_KIND_RULE,
     .roles = SYNTAX_STATEMENT, .name = "<keyframes_name>", .body = "<keyframe_block_list>"},
    {.node = "import_statement", .act = ACT_IMPORT, .roles = SYNTAX_IMPORT,
     .name = "<string_value>|<call_expression>"},
    {.node = "declaration", .roles = SYNTAX_STATEMENT},
    {.node = "supports_statement", .roles = SYNTAX_STATEMENT},
    {.node = "at_rule", .roles = SYNTAX_STATEMENT},
    {.node = "block", .roles = SYNTAX_BLOCK},
    {.node = "keyframe_block_list", .roles = SYNTAX_BLOCK},
    {.node = "string_value", .roles = SYNTAX_STRING},
    {.node = "comment", .act = ACT_ATTACH, .roles = SYNTAX_COMMENT},
    {0},
};

static const char *const aliases[] = {"scss", "less", NULL};
static const char *const extensions[] = {"css", "scss", "less", NULL};
/* clang-format on */

const struct syntax_language syntax_lang_css = {
    .name = "css",
    .aliases = aliases,
    .extensions = extensions,
    .grammar = grammar,
    .rules = rules,
};
