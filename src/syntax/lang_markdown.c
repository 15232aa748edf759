/* Markdown. */
#include "syntax/syntax_int.h"

SYNTAX_GRAMMAR(markdown)

/* clang-format off */
static const struct syntax_rule rules[] = {
    {.node = "section", .act = ACT_DEF, .kind = SYNTAX_KIND_SECTION,
     .flags = RULE_MEMBERS, .name = "<atx_heading>/heading_content|<setext_heading>/heading_content", .body = "<none>"},
    {.node = "paragraph", .roles = SYNTAX_STATEMENT},
    {.node = "list", .roles = SYNTAX_STATEMENT},
    {.node = "pipe_table", .roles = SYNTAX_STATEMENT},
    {.node = "fenced_code_block", .roles = SYNTAX_STRING},
    {0},
};

static const char *const aliases[] = {"md", NULL};
static const char *const extensions[] = {"md", "markdown", "mdown", "mkd", NULL};
/* clang-format on */

const struct syntax_language syntax_lang_markdown = {
    .name = "markdown",
    .aliases = aliases,
    .extensions = extensions,
    .grammar = grammar,
    .rules = rules,
};
