/* Bash and other shells. */
#include "syntax/syntax_int.h"

SYNTAX_GRAMMAR(bash)

/* clang-format off */
static const struct syntax_rule rules[] = {
    {.node = "function_definition", .act = ACT_DEF, .kind = SYNTAX_KIND_FUNCTION, .roles = SYNTAX_FUNCTION},
    {.node = "variable_assignment", .act = ACT_DEF, .kind = SYNTAX_KIND_VARIABLE,
     .flags = RULE_OUTSIDE | RULE_JOIN, .body = "value"},
    {.node = "command", .act = ACT_CALL, .roles = SYNTAX_CALL, .name = "name"},
    {.node = "declaration_command", .act = ACT_WRAP, .roles = SYNTAX_STATEMENT},
    {.node = "if_statement", .roles = SYNTAX_STATEMENT},
    {.node = "for_statement", .roles = SYNTAX_STATEMENT},
    {.node = "c_style_for_statement", .roles = SYNTAX_STATEMENT},
    {.node = "while_statement", .roles = SYNTAX_STATEMENT},
    {.node = "case_statement", .roles = SYNTAX_STATEMENT},
    {.node = "case_item", .roles = SYNTAX_STATEMENT},
    {.node = "pipeline", .roles = SYNTAX_STATEMENT},
    {.node = "list", .roles = SYNTAX_STATEMENT},
    {.node = "compound_statement", .roles = SYNTAX_BLOCK},
    {.node = "do_group", .roles = SYNTAX_BLOCK},
    {.node = "subshell", .roles = SYNTAX_BLOCK},
    {.node = "string", .roles = SYNTAX_STRING},
    {.node = "raw_string", .roles = SYNTAX_STRING},
    {.node = "heredoc_body", .roles = SYNTAX_STRING},
    {.node = "ansi_c_string", .roles = SYNTAX_STRING},
    {.node = "comment", .act = ACT_ATTACH, .roles = SYNTAX_COMMENT},
    {0},
};

static const char *const aliases[] = {"sh", "shell", "zsh", NULL};
static const char *const extensions[] = {"sh", "bash", "zsh", "ksh", "bats", NULL};
static const char *const files[] = {".bashrc", ".profile", ".bash_profile", ".zshrc", "PKGBUILD", NULL};
static const char *const interpreters[] = {"sh", "bash", "dash", "zsh", "ksh", NULL};
static const char *const import_calls[] = {"source", NULL};
/* clang-format on */

const struct syntax_language syntax_lang_bash = {
    .name = "bash",
    .aliases = aliases,
    .extensions = extensions,
    .files = files,
    .interpreters = interpreters,
    .line_comment = "#",
    .import_calls = import_calls,
    .grammar = grammar,
    .rules = rules,
};
