/* TOML. */
#include "syntax/syntax_int.h"

SYNTAX_GRAMMAR(toml)

/* clang-format off */
static const struct syntax_rule rules[] = {
    {.node = "table", .act = ACT_DEF, .kind = SYNTAX_KIND_TABLE,
     .name = "<dotted_key>|<bare_key>|<quoted_key>"},
    {.node = "table_array_element", .act = ACT_DEF, .kind = SYNTAX_KIND_TABLE,
     .name = "<dotted_key>|<bare_key>|<quoted_key>"},
    {.node = "pair", .act = ACT_DEF, .kind = SYNTAX_KIND_PROPERTY,
     .flags = RULE_JOIN, .name = "<dotted_key>|<bare_key>|<quoted_key>"},
    {.node = "string", .roles = SYNTAX_STRING},
    {.node = "comment", .act = ACT_ATTACH, .roles = SYNTAX_COMMENT},
    {0},
};

static const char *const extensions[] = {"toml", NULL};
static const char *const files[] = {"Cargo.lock", "poetry.lock", "Pipfile", NULL};
/* clang-format on */

const struct syntax_language syntax_lang_toml = {
    .name = "toml",
    .extensions = extensions,
    .files = files,
    .line_comment = "#",
    .grammar = grammar,
    .rules = rules,
};
