/* The registry of commands: a new one is its file and one line here. */
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_int.h"

/* clang-format off */
extern const struct command
    cmd_ask,
    cmd_bench,
    cmd_complete,
    cmd_completion,
    cmd_cp,
    cmd_create,
    cmd_detokenize,
    cmd_doctor,
    cmd_embed,
    cmd_eval,
    cmd_generate,
    cmd_help,
    cmd_imatrix,
    cmd_import,
    cmd_index,
    cmd_list,
    cmd_lsp,
    cmd_map,
    cmd_mcp,
    cmd_perplexity,
    cmd_ps,
    cmd_pull,
    cmd_push,
    cmd_quantize,
    cmd_rerank,
    cmd_rm,
    cmd_run,
    cmd_score,
    cmd_search,
    cmd_serve,
    cmd_show,
    cmd_sign,
    cmd_stats,
    cmd_stop,
    cmd_tokenize,
    cmd_trust,
    cmd_verify;
/* clang-format on */

static const struct command *const code[] = {
    &cmd_complete,
    &cmd_generate,
    &cmd_run,
    &cmd_ask,
    &cmd_serve,
    &cmd_lsp,
    &cmd_ps,
    &cmd_stop,
    NULL,
};

static const struct command *const search[] = {
    &cmd_index,
    &cmd_search,
    &cmd_map,
    &cmd_mcp,
    &cmd_embed,
    &cmd_rerank,
    NULL,
};

static const struct command *const models[] = {
    &cmd_pull,
    &cmd_import,
    &cmd_create,
    &cmd_cp,
    &cmd_push,
    &cmd_list,
    &cmd_show,
    &cmd_verify,
    &cmd_sign,
    &cmd_trust,
    &cmd_quantize,
    &cmd_rm,
    NULL,
};

static const struct command *const inspect[] = {
    &cmd_doctor,
    &cmd_bench,
    &cmd_eval,
    &cmd_stats,
    &cmd_score,
    &cmd_perplexity,
    &cmd_imatrix,
    &cmd_tokenize,
    &cmd_detokenize,
    NULL,
};

static const struct command *const about[] = {
    &cmd_help,
    &cmd_completion,
    NULL,
};

const struct command_group cli_groups[] = {
    {"Code", code},
    {"Search", search},
    {"Models", models},
    {"A closer look", inspect},
    {"Hearth itself", about},
    {NULL, NULL},
};

void cli_command_each(void (*visit)(const struct command *cmd, void *ctx), void *ctx)
{
    for (const struct command_group *g = cli_groups; g->title; g++)
        for (size_t i = 0; g->commands[i]; i++) visit(g->commands[i], ctx);
}

struct search {
    const char *name;
    const struct command *found;
    size_t distance;
};

static void match(const struct command *cmd, void *ctx)
{
    struct search *s = ctx;
    if (strcmp(cmd->name, s->name) == 0) s->found = cmd;
}

const struct command *cli_command_find(const char *name)
{
    struct search s = {.name = name};
    cli_command_each(match, &s);
    return s.found;
}

static void nearer(const struct command *cmd, void *ctx)
{
    struct search *s = ctx;
    size_t d = cli_edit_distance(s->name, cmd->name);
    /* "com" is as good a hint at "complete" as one slip of the finger. */
    size_t len = strlen(s->name);
    if (len >= 3 && strncmp(cmd->name, s->name, len) == 0) d = 1;
    if (d < s->distance) {
        s->distance = d;
        s->found = cmd;
    }
}

const struct command *cli_command_suggest(const char *name)
{
    struct search s = {.name = name, .distance = strlen(name) < 5 ? 2 : 3};
    cli_command_each(nearer, &s);
    return s.found;
}

/* Optimal string alignment: Levenshtein's table plus swaps of neighbours. */
size_t cli_edit_distance(const char *a, const char *b)
{
    enum { MAX = 63 };
    size_t n = strlen(a), m = strlen(b);
    if (n > MAX || m > MAX) return MAX + 1;
    unsigned char d[MAX + 1][MAX + 1];
    for (size_t i = 0; i <= n; i++) d[i][0] = (unsigned char)i;
    for (size_t j = 0; j <= m; j++) d[0][j] = (unsigned char)j;
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1u < best) best = d[i - 1][j] + 1u;
            if (d[i][j - 1] + 1u < best) best = d[i][j - 1] + 1u;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1u < best)
                best = d[i - 2][j - 2] + 1u;
            d[i][j] = (unsigned char)best;
        }
    }
    return d[n][m];
}

/* What people who know other programs type first. */
static const struct {
    const char *name, *advice;
} elsewhere[] = {
    {"chat", "did you mean 'run'?"},
    {"ls", "did you mean 'list'?"},
    {"models", "did you mean 'list'?"},
    {"download", "did you mean 'pull'?"},
    {"install", "did you mean 'pull'?"},
    {"copy", "did you mean 'cp'?"},
    {"remove", "did you mean 'rm'?"},
    {"delete", "did you mean 'rm'?"},
    {"uninstall", "did you mean 'rm'?"},
    {"info", "did you mean 'show'?"},
    {"benchmark", "did you mean 'bench'?"},
    {"statistics", "did you mean 'stats'?"},
    {"version", "did you mean '--version'?"},
};

int cli_no_command(const char *name)
{
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
        if (strcmp(elsewhere[i].name, name) == 0)
            return cli_usage_error(NULL, "no command '%s'; %s", name, elsewhere[i].advice);
    const struct command *near = cli_command_suggest(name);
    if (near) return cli_usage_error(NULL, "no command '%s'; did you mean '%s'?", name, near->name);
    return cli_usage_error(NULL, "no command '%s'", name);
}
