/* YAML. */
#include "syntax/syntax_int.h"

SYNTAX_GRAMMAR(yaml)

/* clang-format off */
static const struct syntax_rule rules[] = {
    {.node = "block_mapping_pair", .act = ACT_DEF, .kind = SYNTAX_KIND_PROPERTY,
     .flags = RULE_JOIN | RULE_MEMBERS, .name = "key", .body = "value"},
    {.node = "document", .flags = RULE_MEMBERS},
    {.node = "block_node", .flags = RULE_MEMBERS},
    {.node = "block_mapping", .flags = RULE_MEMBERS},
    {.node = "block_sequence", .flags = RULE_MEMBERS},
    {.node = "block_sequence_item", .flags = RULE_MEMBERS},
    {.node = "stream", .flags = RULE_MEMBERS},
    {.node = "double_quote_scalar", .roles = SYNTAX_STRING},
    {.node = "single_quote_scalar", .roles = SYNTAX_STRING},
    {.node = "block_scalar", .roles = SYNTAX_STRING},
    {.node = "comment", .act = ACT_ATTACH, .roles = SYNTAX_COMMENT},
    {0},
};

static const char *const aliases[] = {"yml", NULL};
static const char *const extensions[] = {"yaml", "yml", NULL};
static const char *const files[] = {".clang-format", NULL};
/* clang-format on */

const struct syntax_language syntax_lang_yaml = {
    .name = "yaml",
    .aliases = aliases,
    .extensions = extensions,
    .files = files,
    .line_comment = "#",
    .grammar = grammar,
    .rules = rules,
};
