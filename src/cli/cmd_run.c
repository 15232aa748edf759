/* hearth run: a conversation with a model, on a terminal or for one question. */
#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/machine.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/confined.h"
#include "cli/load.h"
#include "cli/run.h"
#include "cli/run_remote.h"

struct run_options {
    const char *system, *kv_type, *server;
    double temperature, top_p, min_p, repeat_penalty;
    int64_t top_k, seed, max_tokens, ctx, threads;
    bool no_think, hide_thinking, no_history, json, local;
};

extern const struct command cmd_run;

static const struct option options[] = {
    {"system", 0, OPTION_STRING, "TEXT", "System message: what the model is and how it answers",
     offsetof(struct run_options, system)},
    {"temperature", 0, OPTION_FLOAT, "T", "0 takes the most probable token, 1 draws as the model predicts (default 0.7)",
     offsetof(struct run_options, temperature), 0, 100},
    {"top-p", 0, OPTION_FLOAT, "P", "Draw from the fewest tokens that together reach probability P (default 0.95)",
     offsetof(struct run_options, top_p), 0, 1},
    {"top-k", 0, OPTION_INT, "K", "Draw from the K most probable tokens only (default 40, 0: off)",
     offsetof(struct run_options, top_k), 0, 1e9},
    {"min-p", 0, OPTION_FLOAT, "P", "Drop tokens less probable than P times the most probable one (0: off)",
     offsetof(struct run_options, min_p), 0, 1},
    {"repeat-penalty", 0, OPTION_FLOAT, "X", "Against repetition (default 1: off)",
     offsetof(struct run_options, repeat_penalty), 0.01, 100},
    {"seed", 's', OPTION_INT, "N", "Seed of the draw: the same seed gives the same answer (default: another each time)",
     offsetof(struct run_options, seed), 0, 9e18},
    {"max-tokens", 'n', OPTION_INT, "N", "Length of an answer (default: as much as fits)",
     offsetof(struct run_options, max_tokens), 1, 1e9},
    {"ctx", 'c', OPTION_INT, "N", "Tokens of the whole conversation (default: 4096, or the model's own if less)",
     offsetof(struct run_options, ctx), 1, 1e9},
    {"threads", 't', OPTION_INT, "N", "Threads to compute with (default: all physical cores)",
     offsetof(struct run_options, threads), 1, 1024},
    OPTION_KV_TYPE(struct run_options),
    CLIENT_OPTION(struct run_options),
    {"local", 0, OPTION_FLAG, NULL, "Load the model here, also where a server runs", offsetof(struct run_options, local)},
    {"no-think", 0, OPTION_FLAG, NULL, "Ask a model that can reason to answer at once",
     offsetof(struct run_options, no_think)},
    {"hide-thinking", 0, OPTION_FLAG, NULL, "Do not show the model's reasoning",
     offsetof(struct run_options, hide_thinking)},
    {"no-history", 0, OPTION_FLAG, NULL, "Neither read nor keep the history of lines",
     offsetof(struct run_options, no_history)},
    {"json", 0, OPTION_FLAG, NULL, "Print one JSON object at the end instead of the text",
     offsetof(struct run_options, json)},
    {0},
};

static void init(void *p)
{
    *(struct run_options *)p = (struct run_options){
        .temperature = NAN, .top_p = NAN, .min_p = NAN, .top_k = -1, .repeat_penalty = NAN, .seed = -1};
}

/* The arguments behind the model, and what is piped in, as one message. */
static enum status read_message(int argc, char **argv, struct buf *out, struct error *err)
{
    struct buf words;
    buf_init(&words, RUN_MAX_TEXT);
    enum status st = OK;
    bool pipe = !isatty(STDIN_FILENO);
    for (int i = 1; st == OK && i < argc; i++) {
        if (strcmp(argv[i], "-") == 0) continue;
        if (words.len) st = buf_append_str(&words, " ");
        if (st == OK) st = buf_append_str(&words, argv[i]);
    }
    if (st == OK && words.len) st = run_expand_files(words.data, out, err);
    buf_fini(&words);
    if (st != OK) return err->code ? err->code : error_set(err, st, "the prompt is too long");
    if (!pipe) return OK;
    if (out->len && (st = buf_append_str(out, "\n\n")) != OK) return error_set(err, st, "the prompt is too long");
    size_t before = out->len;
    st = cli_read_text("-", out, err);
    if (st == OK && out->len == before && before) {
        out->len -= 2; /* nothing was piped in */
        out->data[out->len] = 0;
    }
    if (st == OK && out->len && memchr(out->data, 0, out->len))
        return error_set(err, ERR_FORMAT, "standard input is no text");
    return st;
}

static enum status print_json(const struct run *r, struct error *err)
{
    const struct generate_result *g = &r->res;
    json_t *last = json_array_get(r->messages, json_array_size(r->messages) - 1);
    json_t *root = json_pack("{s:O, s:s, s:I, s:I, s:{s:f, s:f, s:f}}", "message", last, "finish_reason",
                             finish_reason_name(g->finish), "prompt_tokens", (json_int_t)g->n_prompt,
                             "completion_tokens", (json_int_t)g->n_generated, "timings", "prefill_ms",
                             cli_round(g->prefill_ms), "first_token_ms", cli_round(g->first_token_ms), "decode_ms",
                             cli_round(g->decode_ms));
    if (root && r->reasoning.len)
        json_object_set_new(root, "reasoning", json_stringn(r->reasoning.data, r->reasoning.len));
    return cli_print_json(root, JSON_INDENT(2) | JSON_REAL_PRECISION(12), err);
}

static int run(const void *p, int argc, char **argv)
{
    const struct run_options *o = p;
    struct error err = {0};
    struct run r = {.model = argc > 0 ? argv[0] : NULL, .json = o->json, .history = !o->no_history,
                    .set = {.temperature = o->temperature, .top_p = o->top_p, .min_p = o->min_p,
                            .repeat_penalty = o->repeat_penalty, .top_k = o->top_k, .seed = o->seed,
                            .max_tokens = o->max_tokens, .think = !o->no_think, .show_thinking = !o->hide_thinking}};
    struct buf message;
    int code = EXIT_OK;
    buf_init(&message, RUN_MAX_TEXT);
    buf_init(&r.reasoning, RUN_MAX_TEXT);
    r.interactive = argc <= 1 && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !o->json;
    r.messages = json_array();
    enum status st = r.messages ? run_set_system(&r, o->system, &err) : error_set(&err, ERR_NOMEM, "out of memory");
    if (st == OK && !r.interactive) {
        st = read_message(argc, argv, &message, &err);
        if (st == OK && message.len == 0)
            st = error_set(&err, ERR_INVALID, "the prompt is empty: give one behind the model, or pipe it in");
    }
    if (r.interactive) run_interrupt_block(true); /* the model's threads are never interrupted */
    /* Options of a model's memory say that it is to be loaded for this. */
    bool local = o->local || o->ctx || o->threads || o->kv_type;
    if (st == OK && local && o->server)
        st = error_set(&err, ERR_INVALID, "--server goes without --local, --ctx, --threads and --kv-type: those are a server's own");
    if (st == OK && !local) st = run_remote_find(&r, o->server, &err);
    if (st == OK && r.client && r.interactive)
        fprintf(stderr, "hearth: %s answers at %s\n", r.model, client_url(r.client));
    if (r.interactive) confined_need(NEED_ANYWHERE | NEED_CHATS | NEED_SAVE | (r.history ? NEED_HISTORY : 0));
    int64_t ctx = o->ctx;
    if (st == OK && !r.client) r.own = cli_model_settings(r.model);
    if (st == OK) st = run_fill_settings(&r, &ctx, &err);
    if (st == OK && !r.client) st = run_open(&r, (int)o->threads, o->kv_type, ctx, &err);
    if (st == OK && r.engine && !r.interactive) st = confined_seal(true, &err);
    if (st == OK && r.interactive) {
        code = run_interactive(&r);
    } else if (st == OK) {
        st = run_say(&r, message.data, &err);
        if (st == OK && o->json) st = print_json(&r, &err);
        if (st == OK && r.res.finish == FINISH_CANCELLED) code = EXIT_INTERRUPTED;
    }
    if (st != OK) code = cli_fail(&err);
    buf_fini(&message);
    run_close(&r);
    return code;
}

const struct command cmd_run = {
    .name = "run",
    .summary = "Chat with a model",
    .usage = "run [MODEL [PROMPT...]] [options]",
    .description =
        "Without PROMPT, on a terminal: a conversation. A line is a message; \"\"\" begins and ends one of several lines; "
        "@PATH puts a file into it; /help lists the commands. Ctrl-C stops an answer, Ctrl-D ends.\n"
        "\n"
        "With PROMPT, or with text piped in, or both: one answer to that. @PATH works here too. Files whose names say that "
        "they hold secrets (.env, keys) are not read.\n"
        "\n"
        "A running 'hearth serve' on this machine (or at --server, HEARTH_HOST) answers where it has the model; else "
        "the model is loaded here. Without MODEL the default one is meant.\n"
        "\n"
        "System message, sampling and more that go with the model's name (hearth create) count where no option says "
        "otherwise. The conversation is formatted by the chat template of the name, or that of the model's file. Lines are kept as a history in "
        "HEARTH_HOME, readable by you alone; --no-history keeps none. Nothing else is kept without /save.\n"
        "\n"
        "Examples:\n"
        "  hearth run qwen2.5-coder:1.5b\n"
        "  hearth run qwen2.5-coder:1.5b 'What does this do? @src/main.c'\n"
        "  git diff | hearth run qwen2.5-coder:1.5b --temperature 0 'Write a commit message for this'\n",
    .options = options,
    .options_size = sizeof(struct run_options),
    .init = init,
    .max_args = -1,
    .arg_metavar = "INSTALLED",
    .run = run,
};
