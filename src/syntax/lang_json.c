/* JSON, with comments. */
#include "syntax/syntax_int.h"

SYNTAX_GRAMMAR(json)

/* clang-format off */
static const struct syntax_rule rules[] = {
    {.node = "pair", .act = ACT_DEF, .kind = SYNTAX_KIND_PROPERTY,
     .flags = RULE_JOIN | RULE_MEMBERS, .name = "key", .body = "value"},
    {.node = "object", .roles = SYNTAX_BLOCK},
    {.node = "array", .roles = SYNTAX_BLOCK},
    {.node = "document", .flags = RULE_MEMBERS},
    {.node = "string", .roles = SYNTAX_STRING},
    {.node = "comment", .act = ACT_ATTACH, .roles = SYNTAX_COMMENT},
    {0},
};

static const char *const aliases[] = {"jsonc", NULL};
static const char *const extensions[] = {"json", "jsonc", "webmanifest", NULL};
static const char *const files[] = {".eslintrc", ".prettierrc", NULL};
/* clang-format on */

const struct syntax_language syntax_lang_json = {
    .name = "json",
    .aliases = aliases,
    .extensions = extensions,
    .files = files,
    .grammar = grammar,
    .rules = rules,
};
