/* Ruby. */
#include "syntax/syntax_int.h"

SYNTAX_GRAMMAR(ruby)

/* clang-format off */
static const struct syntax_rule rules[] = {
    {.node = "method", .act = ACT_DEF, .kind = SYNTAX_KIND_FUNCTION, .roles = SYNTAX_FUNCTION},
    {.node = "singleton_method", .act = ACT_DEF, .kind = SYNTAX_KIND_FUNCTION, .roles = SYNTAX_FUNCTION},
    {.node = "lambda", .roles = SYNTAX_FUNCTION},
    {.node = "class", .act = ACT_DEF, .kind = SYNTAX_KIND_CLASS,
     .roles = SYNTAX_TYPE, .flags = RULE_MEMBERS},
    {.node = "module", .act = ACT_DEF, .kind = SYNTAX_KIND_MODULE, .flags = RULE_MEMBERS},
    {.node = "singleton_class", .act = ACT_DEF, .kind = SYNTAX_KIND_IMPL,
     .roles = SYNTAX_TYPE, .flags = RULE_MEMBERS, .name = "value"},
    {.node = "assignment", .act = ACT_DEF, .kind = SYNTAX_KIND_VARIABLE,
     .flags = RULE_OUTSIDE | RULE_JOIN, .name = "left", .body = "right"},
    {.node = "call", .act = ACT_CALL, .roles = SYNTAX_CALL, .name = "method"},
    {.node = "if", .roles = SYNTAX_STATEMENT},
    {.node = "unless", .roles = SYNTAX_STATEMENT},
    {.node = "while", .roles = SYNTAX_STATEMENT},
    {.node = "until", .roles = SYNTAX_STATEMENT},
    {.node = "for", .roles = SYNTAX_STATEMENT},
    {.node = "case", .roles = SYNTAX_STATEMENT},
    {.node = "when", .roles = SYNTAX_STATEMENT},
    {.node = "begin", .roles = SYNTAX_STATEMENT},
    {.node = "rescue", .roles = SYNTAX_STATEMENT},
    {.node = "ensure", .roles = SYNTAX_STATEMENT},
    {.node = "return", .roles = SYNTAX_STATEMENT},
    {.node = "if_modifier", .roles = SYNTAX_STATEMENT},
    {.node = "unless_modifier", .roles = SYNTAX_STATEMENT},
    {.node = "yield", .roles = SYNTAX_STATEMENT},
    {.node = "break", .roles = SYNTAX_STATEMENT},
    {.node = "next", .roles = SYNTAX_STATEMENT},
    {.node = "body_statement", .roles = SYNTAX_BLOCK},
    {.node = "do_block", .roles = SYNTAX_BLOCK},
    {.node = "block", .roles = SYNTAX_BLOCK},
    {.node = "then", .roles = SYNTAX_BLOCK},
    {.node = "do", .roles = SYNTAX_BLOCK},
    {.node = "argument_list", .roles = SYNTAX_ARGUMENTS},
    {.node = "method_parameters", .roles = SYNTAX_ARGUMENTS},
    {.node = "string", .roles = SYNTAX_STRING},
    {.node = "heredoc_body", .roles = SYNTAX_STRING},
    {.node = "regex", .roles = SYNTAX_STRING},
    {.node = "simple_symbol", .roles = SYNTAX_STRING},
    {.node = "comment", .act = ACT_ATTACH, .roles = SYNTAX_COMMENT},
    {.node = "constant", .act = ACT_TYPE},
    {.node = "identifier", .act = ACT_IDENT},
    {0},
};

static const char *const aliases[] = {"rb", NULL};
static const char *const extensions[] = {"rb", "rake", "gemspec", "ru", NULL};
static const char *const files[] = {"Rakefile", "Gemfile", "Vagrantfile", "Guardfile", NULL};
static const char *const interpreters[] = {"ruby", "jruby", NULL};
static const char *const import_calls[] = {"require", "require_relative", "load", NULL};
/* clang-format on */

const struct syntax_language syntax_lang_ruby = {
    .name = "ruby",
    .aliases = aliases,
    .extensions = extensions,
    .files = files,
    .interpreters = interpreters,
    .line_comment = "#",
    .import_calls = import_calls,
    .grammar = grammar,
    .rules = rules,
};
