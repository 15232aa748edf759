/* HTML. */
#include "syntax/syntax_int.h"

SYNTAX_GRAMMAR(html)

/* clang-format off */
static const struct syntax_rule rules[] = {
    {.node = "element", .act = ACT_DEF, .kind = SYNTAX_KIND_ELEMENT,
     .flags = RULE_MEMBERS | RULE_JOIN, .name = "<start_tag>/<tag_name>|<self_closing_tag>/<tag_name>"},
    {.node = "script_element", .act = ACT_DEF, .kind = SYNTAX_KIND_ELEMENT,
     .name = "<start_tag>/<tag_name>"},
    {.node = "style_element", .act = ACT_DEF, .kind = SYNTAX_KIND_ELEMENT, .name = "<start_tag>/<tag_name>"},
    {.node = "quoted_attribute_value", .roles = SYNTAX_STRING},
    {.node = "comment", .act = ACT_ATTACH, .roles = SYNTAX_COMMENT},
    {0},
};

static const char *const aliases[] = {"htm", "xhtml", NULL};
static const char *const extensions[] = {"html", "htm", "xhtml", NULL};
/* clang-format on */

const struct syntax_language syntax_lang_html = {
    .name = "html",
    .aliases = aliases,
    .extensions = extensions,
    .grammar = grammar,
    .rules = rules,
};
