/* hearth lsp: the language server. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/index_embed.h"
#include "cli/lsp_context.h"
#include "lsp/lsp.h"
#include "store/store.h"

struct lsp_command_options {
    const char *model, *chat_model, *endpoint, *log;
    int64_t threads, ctx;
    bool stdio;
};

extern const struct command cmd_lsp;

static const struct option options[] = {
    {"model", 'm', OPTION_STRING, "MODEL", "For completions: model name, or path to a GGUF file",
     offsetof(struct lsp_command_options, model)},
    {"chat-model", 0, OPTION_STRING, "MODEL", "For chat and edits (default: the same)",
     offsetof(struct lsp_command_options, chat_model)},
    {"endpoint", 0, OPTION_STRING, "URL",
     "Chat through a running `hearth serve`; auto: if one answers at the default port",
     offsetof(struct lsp_command_options, endpoint)},
    {"ctx", 'c', OPTION_INT, "N", "Tokens of context (default: 4096, or the model's own if less)",
     offsetof(struct lsp_command_options, ctx), 1, 1e9},
    {"threads", 't', OPTION_INT, "N", "Threads to compute with (default: all physical cores)",
     offsetof(struct lsp_command_options, threads), 1, 1024},
    {"log", 0, OPTION_STRING, "FILE", "Write what happens there; never the text of a document",
     offsetof(struct lsp_command_options, log)},
    {"stdio", 0, OPTION_FLAG, NULL, "Standard input and output, the default; editors give it",
     offsetof(struct lsp_command_options, stdio)},
    {0},
};

static enum status resolve(void *ctx, const char *name, char **path, struct error *err)
{
    (void)ctx;
    return cli_resolve_model(name, path, err);
}

static int run(const void *p, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct lsp_command_options *o = p;
    struct error err = {0};
    struct store *store = NULL;
    char *stats = NULL, *cache = cli_cache_dir(&err);
    bool clean = false;
    struct lsp_context context = {.cache = cli_index_cache(&err)};
    if (store_open(NULL, &store, &err) == OK && asprintf(&stats, "%s/stats.sqlite", store_root(store)) < 0)
        stats = NULL;
    store_close(store);
    struct lsp_options opt = {.model = o->model,
                              .chat_model = o->chat_model,
                              .endpoint = o->endpoint,
                              .n_threads = (int)o->threads,
                              .n_ctx = (size_t)o->ctx,
                              .cache_dir = cache,
                              .stats_path = stats,
                              .log_path = o->log,
                              .resolve = resolve,
                              .context = lsp_context_take,
                              .ctx = &context};
    enum status st = lsp_serve(&opt, STDIN_FILENO, STDOUT_FILENO, &clean, &err);
    lsp_context_fini(&context);
    free(cache);
    free(stats);
    int code = st != OK ? cli_fail(&err) : clean ? EXIT_OK : EXIT_FAILED;
    fflush(stderr);
    /* A model may still be loading on its thread: it must not see the libraries' end. */
    _exit(code);
}

const struct command cmd_lsp = {
    .name = "lsp",
    .summary = "Serve an editor: completion as you type, chat, edits",
    .usage = "lsp [options]",
    .description = "Speaks the Language Server Protocol on standard input and output; editors start it.\n"
                   "docs/lsp.md has the settings and the protocol.\n"
                   "\n"
                   "Examples:\n"
                   "  hearth lsp\n"
                   "  hearth lsp -m qwen2.5-coder:1.5b --log lsp.log\n",
    .options = options,
    .options_size = sizeof(struct lsp_command_options),
    .max_args = 0,
    .run = run,
};
