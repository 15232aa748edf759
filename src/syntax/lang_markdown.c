/* Markdown. */
#include "syntax/syntax_int.h"

SYNTAX_GRAMMAR(markdown)

enum { MAX_LEVELS = 200 };

/* The scanner copies its open quotes and lists into 1,024 bytes without a look at how many there are: 254 fit.
 * On a line each takes a mark of its own, or two columns of indentation where it goes on from above. */
static bool unfit(const char *text, size_t len)
{
    unsigned marks = 0, columns = 0;
    bool ahead = true; /* of the line's text */
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '\n' || c == '\r') {
            marks = columns = 0;
            ahead = true;
        } else if (ahead && (c == ' ' || c == '\t')) {
            columns += c == '\t' ? 4 : 1;
        } else if (ahead && (c == '>' || c == '-' || c == '+' || c == '*' || c == '.' || c == ')')) {
            marks++;
        } else if (ahead && (c < '0' || c > '9')) {
            ahead = false;
        }
        if (marks + columns / 2 > MAX_LEVELS) return true;
    }
    return false;
}

/* clang-format off */
static const struct syntax_rule rules[] = {
    {.node = "section", .act = ACT_DEF, .kind = SYNTAX_KIND_SECTION,
     .flags = RULE_MEMBERS, .name = "<atx_heading>/heading_content|<setext_heading>/heading_content"},
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
    .unfit = unfit,
};
