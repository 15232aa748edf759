/* hearth generate: plain continuation of a text. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/machine.h"
#include "cli/cli.h"
#include "cli/confined.h"
#include "cli/load.h"
#include "infer/engine.h"
#include "infer/text_io.h"
#include "model/model.h"
#include "text/grammar.h"

enum { MAX_PROMPT_BYTES = 64 << 20, MAX_TEXT_BYTES = 256 << 20 };

struct generate_options {
    const char *model, *speculate, *draft, *kv_type;
    const char *grammar, *grammar_file, *schema, *schema_file, *regex;
    int64_t max_tokens, top_k, penalty_last_n, seed, threads, ctx;
    double temperature, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty;
    struct string_list logit_bias;
    bool special, json, json_object;
};

extern const struct command cmd_generate;

static const struct option options[] = {
    {"model", 'm', OPTION_STRING, "MODEL", "Model name, or path to a GGUF file",
     offsetof(struct generate_options, model)},
    {"max-tokens", 'n', OPTION_INT, "N", "Stop after N tokens (default 128)",
     offsetof(struct generate_options, max_tokens), 0, 1e9},
    {"temperature", 0, OPTION_FLOAT, "T",
     "0 takes the most probable token (default), 1 draws as the model predicts",
     offsetof(struct generate_options, temperature), 0, 100},
    {"top-k", 0, OPTION_INT, "K", "Draw from the K most probable tokens only (0: off)",
     offsetof(struct generate_options, top_k), 0, 1e9},
    {"top-p", 0, OPTION_FLOAT, "P",
     "Draw from the fewest tokens that together reach probability P (1: off)",
     offsetof(struct generate_options, top_p), 0, 1},
    {"min-p", 0, OPTION_FLOAT, "P",
     "Drop tokens less probable than P times the most probable one (0: off)",
     offsetof(struct generate_options, min_p), 0, 1},
    {"repeat-penalty", 0, OPTION_FLOAT, "X",
     "Divide positive and multiply negative logits of recent tokens by X (1: off)",
     offsetof(struct generate_options, repeat_penalty), 0.01, 100},
    {"presence-penalty", 0, OPTION_FLOAT, "X", "Subtract X from the logits of recent tokens",
     offsetof(struct generate_options, presence_penalty), -100, 100},
    {"frequency-penalty", 0, OPTION_FLOAT, "X",
     "Subtract X for each time that a recent token stands there",
     offsetof(struct generate_options, frequency_penalty), -100, 100},
    {"penalty-last-n", 0, OPTION_INT, "N", "How many tokens count as recent (default 64, -1: all)",
     offsetof(struct generate_options, penalty_last_n), -1, 1 << 20},
    {"seed", 's', OPTION_INT, "N",
     "Seed of the draw: the same seed gives the same text (default: another each time)",
     offsetof(struct generate_options, seed), 0, 9e18},
    {"logit-bias", 0, OPTION_LIST, "ID=BIAS", "Add BIAS to a token's logit; -inf bans the token",
     offsetof(struct generate_options, logit_bias)},
    {"ctx", 'c', OPTION_INT, "N",
     "Tokens of prompt and answer together (default: 4096, or the model's own if less)",
     offsetof(struct generate_options, ctx), 1, 1e9},
    {"threads", 't', OPTION_INT, "N", "Threads to compute with (default: all physical cores)",
     offsetof(struct generate_options, threads), 1, 1024},
    OPTION_KV_TYPE(struct generate_options),
    {"speculate", 0, OPTION_STRING, "MODE",
     "auto (default): draft tokens that are likely to come and check many in one step, where that "
     "pays; off: one at a time. The text is the same.",
     offsetof(struct generate_options, speculate)},
    {"draft", 0, OPTION_STRING, "MODEL",
     "Smaller model of the same vocabulary to draft with, besides what the prompt has",
     offsetof(struct generate_options, draft)},
    {"grammar", 0, OPTION_STRING, "GBNF", "Hold the text to a grammar in llama.cpp's notation",
     offsetof(struct generate_options, grammar)},
    {"grammar-file", 0, OPTION_STRING, "FILE", "The same, read from a file",
     offsetof(struct generate_options, grammar_file)},
    {"json-object", 0, OPTION_FLAG, NULL, "Hold the text to a JSON object",
     offsetof(struct generate_options, json_object)},
    {"json-schema", 'j', OPTION_STRING, "SCHEMA", "Hold the text to JSON of this schema",
     offsetof(struct generate_options, schema)},
    {"json-schema-file", 0, OPTION_STRING, "FILE", "The same, read from a file",
     offsetof(struct generate_options, schema_file)},
    {"regex", 0, OPTION_STRING, "RE", "Hold the text to a regular expression",
     offsetof(struct generate_options, regex)},
    {"special", 0, OPTION_FLAG, NULL, "The text of control tokens in the prompt becomes the token",
     offsetof(struct generate_options, special)},
    {"json", 0, OPTION_FLAG, NULL, "Print one JSON object at the end instead of the text",
     offsetof(struct generate_options, json)},
    {0},
};

static void init(void *p)
{
    struct generate_options *o = p;
    struct sample_params s = sample_params_default();
    *o = (struct generate_options){.speculate = "auto",
                                   .max_tokens = 128,
                                   .temperature = (double)s.temperature,
                                   .top_k = s.top_k,
                                   .top_p = (double)s.top_p,
                                   .min_p = (double)s.min_p,
                                   .repeat_penalty = (double)s.repeat_penalty,
                                   .presence_penalty = (double)s.presence_penalty,
                                   .frequency_penalty = (double)s.frequency_penalty,
                                   .penalty_last_n = s.penalty_last_n,
                                   .seed = -1};
}

/* One run, from the prompt to the printed result. */
struct job {
    const struct generate_options *o;
    struct engine *engine;
    struct session *session;
    struct engine *draft_engine; /* NULL without --draft */
    struct session *draft;
    struct token_list prompt;
    struct grammar *grammar; /* or NULL */
    struct logit_bias bias[64];
    struct text_stream stream;
    struct buf text; /* all of it for --json, else what is about to be printed */
    bool ends_line;  /* the last byte printed was a newline */
    uint64_t seed;
    double load_ms, start_to_prefill_ms;
    enum status st; /* of on_token */
    struct error *err;
    struct generate_result res;
};

static void on_prefill(void *ctx)
{
    struct job *j = ctx;
    j->start_to_prefill_ms = 1e3 * clock_since_process_start();
}

static enum status print_text(struct job *j)
{
    if (j->o->json || j->text.len == 0) return OK;
    j->ends_line = j->text.data[j->text.len - 1] == '\n';
    enum status st = cli_write(j->text.data, j->text.len, j->err);
    buf_clear(&j->text);
    return st;
}

static bool on_token(void *ctx, int32_t token)
{
    struct job *j = ctx;
    j->st = text_stream_push(&j->stream, token, &j->text);
    if (j->st != OK)
        error_set(j->err, j->st, "no memory for the generated text");
    else
        j->st = print_text(j);
    return j->st == OK;
}

static enum status parse_biases(struct job *j, struct error *err)
{
    const struct string_list *list = &j->o->logit_bias;
    for (size_t i = 0; i < list->len; i++) {
        const char *s = list->items[i];
        char *end, *end2;
        long id = strtol(s, &end, 10);
        double bias = *end == '=' ? strtod(end + 1, &end2) : NAN;
        if (end == s || *end != '=' || end2 == end + 1 || *end2 || id < 0 || id > INT32_MAX)
            return error_set(err, ERR_INVALID,
                             "--logit-bias %s: expected a token's id and a number, as in 198=-5",
                             s);
        if (isnan(bias) || (float)bias == INFINITY)
            return error_set(err, ERR_INVALID,
                             "--logit-bias %s: the number must be finite, or -inf", s);
        j->bias[i] = (struct logit_bias){(int32_t)id, (float)bias};
    }
    return OK;
}

static enum status read_prompt(const char *arg, struct buf *out, struct error *err)
{
    if (arg && strcmp(arg, "-") != 0) {
        enum status st = buf_append_str(out, arg);
        return st == OK ? OK : error_set(err, st, "no memory for the prompt");
    }
    return cli_read_text("-", out, err);
}

static enum status fit_context(struct job *j, struct error *err)
{
    size_t n = j->prompt.len, n_ctx = session_n_ctx(j->session);
    size_t train = engine_model_info(j->engine)->n_ctx_train;
    if (n < n_ctx) return OK;
    if (n >= train)
        return error_set(err, ERR_LIMIT,
                         "the prompt has %zu tokens, but this model's context holds %zu at most: "
                         "shorten the prompt",
                         n, train);
    size_t want = n + (size_t)j->o->max_tokens;
    return error_set(err, ERR_LIMIT,
                     "the prompt has %zu tokens, but the context holds %zu: pass --ctx %zu, or "
                     "shorten the prompt",
                     n, n_ctx, want < train ? want : train);
}

static enum status check_speculate(const struct generate_options *o, struct error *err)
{
    bool off = strcmp(o->speculate, "off") == 0;
    if (!off && strcmp(o->speculate, "auto") != 0)
        return error_set(err, ERR_INVALID, "--speculate %s: use auto or off", o->speculate);
    if (off && o->draft)
        return error_set(err, ERR_INVALID,
                         "--draft %s has nothing to do with --speculate off: leave one out",
                         o->draft);
    return OK;
}

enum { MAX_GRAMMAR_BYTES = 1 << 20 };

/* At most one of the options that hold the text to something. */
static enum status compile_grammar(struct job *j, struct error *err)
{
    const struct generate_options *o = j->o;
    const struct {
        const char *option, *text, *file;
        enum grammar_kind kind;
    } all[] = {{"--grammar", o->grammar, NULL, GRAMMAR_GBNF},
               {"--grammar-file", NULL, o->grammar_file, GRAMMAR_GBNF},
               {"--json-object", o->json_object ? "" : NULL, NULL, GRAMMAR_JSON},
               {"--json-schema", o->schema, NULL, GRAMMAR_JSON_SCHEMA},
               {"--json-schema-file", NULL, o->schema_file, GRAMMAR_JSON_SCHEMA},
               {"--regex", o->regex, NULL, GRAMMAR_REGEX}};
    const char *before = NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!all[i].text && !all[i].file) continue;
        if (before)
            return error_set(err, ERR_INVALID, "%s and %s exclude each other: leave one out", before,
                             all[i].option);
        before = all[i].option;
        struct buf text;
        const struct grammar_vocab *vocab;
        buf_init(&text, MAX_GRAMMAR_BYTES);
        enum status st = all[i].file ? cli_read_text(all[i].file, &text, err)
                                     : buf_append_str(&text, all[i].text);
        if (st != OK && !all[i].file) error_set(err, st, "%s: more than %d bytes", before, MAX_GRAMMAR_BYTES);
        if (st == OK) st = engine_grammar_vocab(j->engine, &vocab, err);
        if (st == OK)
            st = grammar_compile(all[i].kind, text.data ? text.data : "", text.len, vocab, NULL,
                                 &j->grammar, err);
        buf_fini(&text);
        if (st != OK) return error_prefix(err, "%s", before);
    }
    return OK;
}

/* Its context is that of the other session, or the model's own where that is shorter: what lies
 * behind it is not drafted. */
static enum status open_draft(struct job *j, struct error *err)
{
    if (!j->o->draft) return OK;
    enum status st = cli_load_engine(j->o->draft, (int)j->o->threads, &j->draft_engine, err);
    if (st != OK) return st;
    size_t n_ctx = session_n_ctx(j->session);
    size_t train = engine_model_info(j->draft_engine)->n_ctx_train;
    return session_create(j->draft_engine, n_ctx < train ? n_ctx : train, &j->draft, err);
}

static enum status prepare(struct job *j, const struct buf *prompt, struct error *err)
{
    double t = clock_now();
    enum status st = cli_load_engine_kv(j->o->model, (int)j->o->threads, j->o->kv_type,
                                        &j->engine, err);
    if (st != OK) return st;
    j->load_ms = 1e3 * (clock_now() - t);
    const struct tokenizer *tok = engine_tokenizer(j->engine);
    for (size_t i = 0; i < j->o->logit_bias.len; i++)
        if ((size_t)j->bias[i].token >= tokenizer_n_tokens(tok))
            return error_set(err, ERR_INVALID,
                             "--logit-bias %s: the vocabulary has tokens 0 to %zu",
                             j->o->logit_bias.items[i], tokenizer_n_tokens(tok) - 1);
    st = prompt_encode(tok, prompt->data ? prompt->data : "", prompt->len, j->o->special,
                       &j->prompt, err);
    if (st != OK) return st;
    if (j->prompt.len == 0)
        return error_set(err, ERR_INVALID, "the prompt is empty: there is nothing to continue");
    st = session_create(j->engine, (size_t)j->o->ctx, &j->session, err);
    if (st != OK) return st;
    text_stream_init(&j->stream, tok, false);
    st = compile_grammar(j, err);
    if (st == OK) st = fit_context(j, err);
    if (st == OK) st = open_draft(j, err);
    return st == OK ? confined_seal(true, err) : st;
}

static enum status run_job(struct job *j, struct error *err)
{
    const struct generate_options *o = j->o;
    j->seed = (uint64_t)o->seed;
    if (o->seed < 0) {
        uint32_t seed = 0;
        if (getrandom(&seed, sizeof seed, 0) < 0) seed = (uint32_t)(1e9 * clock_now());
        j->seed = seed;
    }
    struct generate_request req = {
        .prompt = j->prompt.ids,
        .n_prompt = j->prompt.len,
        .max_tokens = (size_t)o->max_tokens,
        .sample = {.temperature = (float)o->temperature,
                   .top_k = (int32_t)o->top_k,
                   .top_p = (float)o->top_p,
                   .min_p = (float)o->min_p,
                   .repeat_penalty = (float)o->repeat_penalty,
                   .presence_penalty = (float)o->presence_penalty,
                   .frequency_penalty = (float)o->frequency_penalty,
                   .penalty_last_n = (int32_t)o->penalty_last_n,
                   .seed = j->seed,
                   .bias = j->bias,
                   .n_bias = o->logit_bias.len},
        .speculate = {.mode = strcmp(o->speculate, "off") == 0 ? SPECULATE_OFF : SPECULATE_AUTO,
                      .draft = j->draft},
        .grammar = j->grammar,
        .cancel = cli_catch_interrupt(),
        .on_token = on_token,
        .on_prefill = on_prefill,
        .ctx = j};
    j->err = err;
    enum status st = session_generate(j->session, &req, &j->res, err);
    if (st == OK) st = j->st;
    if (st != OK) return st;
    st = text_stream_end(&j->stream, &j->text);
    if (st != OK) return error_set(err, st, "no memory for the generated text");
    return print_text(j);
}

static double per_second(double n, double ms)
{
    return ms > 0 ? cli_round(1e3 * n / ms) : 0;
}

static enum status print_json(const struct job *j, struct error *err)
{
    struct buf valid;
    buf_init(&valid, (size_t)3 * MAX_TEXT_BYTES);
    enum status st = text_append_valid(&valid, j->text.data ? j->text.data : "", j->text.len);
    const struct generate_result *r = &j->res;
    size_t evaluated = r->n_prompt - r->n_cached;
    size_t steps = r->n_generated ? r->n_generated - 1 : 0;
    json_t *root = NULL;
    if (st == OK)
        root = json_pack(
            "{s:s%, s:I, s:I, s:s, s:I, s:i, s:I, s:{s:I, s:I, s:I}, "
            "s:{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}}",
            "text", valid.data ? valid.data : "", valid.len, "prompt_tokens",
            (json_int_t)r->n_prompt, "completion_tokens", (json_int_t)r->n_generated,
            "finish_reason", finish_reason_name(r->finish), "seed", (json_int_t)j->seed, "threads",
            engine_n_threads(j->engine), "resident_bytes", (json_int_t)machine_resident_bytes(),
            "speculation", "passes", (json_int_t)r->n_passes, "drafted", (json_int_t)r->n_drafted,
            "accepted", (json_int_t)r->n_accepted, "timings", "load_ms", cli_round(j->load_ms),
            "start_to_prefill_ms", cli_round(j->start_to_prefill_ms), "prefill_ms",
            cli_round(r->prefill_ms), "first_token_ms", cli_round(r->first_token_ms), "decode_ms",
            cli_round(r->decode_ms), "draft_ms", cli_round(r->draft_ms),
            "prefill_tokens_per_second", per_second((double)evaluated, r->prefill_ms),
            "decode_tokens_per_second", per_second((double)steps, r->decode_ms));
    st = cli_print_json(root, JSON_INDENT(2) | JSON_REAL_PRECISION(12), err);
    buf_fini(&valid);
    return st;
}

/* On a terminal the prompt of the shell starts on a line of its own, and a dim line tells how it
 * went. */
static enum status print_end(const struct job *j, struct error *err)
{
    const struct generate_result *r = &j->res;
    enum status st = OK;
    if (isatty(STDOUT_FILENO) && !j->ends_line) st = cli_write("\n", 1, err);
    if (isatty(STDOUT_FILENO) && isatty(STDERR_FILENO)) {
        bool color = cli_color(STDERR_FILENO);
        fprintf(stderr,
                "%s%zu prompt tokens, first token after %.0f ms, then %.1f tokens/s; %s%s\n",
                color ? "\033[2m" : "", r->n_prompt, r->first_token_ms,
                r->n_generated > 1 ? per_second((double)(r->n_generated - 1), r->decode_ms) : 0.0,
                finish_reason_name(r->finish), color ? "\033[0m" : "");
    }
    return st;
}

static int run(const void *p, int argc, char **argv)
{
    const struct generate_options *o = p;
    if (argc == 0 && isatty(STDIN_FILENO))
        return cli_usage_error(&cmd_generate, "no PROMPT: give one, or pipe it in");
    struct job *j = calloc(1, sizeof *j);
    struct error err = {0};
    struct buf prompt;
    buf_init(&prompt, MAX_PROMPT_BYTES);
    enum status st;
    if (!j) {
        st = error_set(&err, ERR_NOMEM, "out of memory");
        goto out;
    }
    j->o = o;
    buf_init(&j->text, MAX_TEXT_BYTES);
    if ((st = check_speculate(o, &err)) != OK) goto out;
    if ((st = parse_biases(j, &err)) != OK) goto out;
    if ((st = read_prompt(argc ? argv[0] : NULL, &prompt, &err)) != OK) goto out;
    if ((st = prepare(j, &prompt, &err)) != OK) goto out;
    if ((st = run_job(j, &err)) != OK) goto out;
    st = o->json ? print_json(j, &err) : print_end(j, &err);
out:;
    int code = EXIT_OK;
    if (st != OK)
        code = cli_fail(&err);
    else if (j->res.finish == FINISH_CANCELLED)
        code = EXIT_INTERRUPTED;
    buf_fini(&prompt);
    if (j) {
        session_destroy(j->session);
        session_destroy(j->draft);
        grammar_unref(j->grammar);
        engine_close(j->engine);
        engine_close(j->draft_engine);
        token_list_fini(&j->prompt);
        buf_fini(&j->text);
    }
    free(j);
    return code;
}

const struct command cmd_generate = {
    .name = "generate",
    .summary = "Continue a text",
    .usage = "generate [PROMPT|-] [options]",
    .description =
        "Continues PROMPT word for word, without any chat template, and prints the new text as it "
        "comes. Without PROMPT, or with -, the prompt is read from standard input.\n"
        "\n"
        "Ctrl-C stops; what was printed stays, and the exit code is 130. The text ends where the "
        "model ends it, at --max-tokens, or where the context is full. A prompt longer than the "
        "context is an error; nothing is cut.\n"
        "\n"
        "Examples:\n"
        "  hearth generate 'def fibonacci(n):'\n"
        "  hearth generate --temperature 0.8 --top-p 0.95 --seed 7 'Once upon a time'\n"
        "  hearth generate --json-schema '{\"enum\": [\"yes\", \"no\"]}' 'Is water wet? Answer: '\n"
        "  git diff | hearth generate -m qwen2.5-coder:0.5b --json -\n",
    .options = options,
    .options_size = sizeof(struct generate_options),
    .init = init,
    .min_args = 0,
    .max_args = 1,
    .arg_metavar = "PROMPT",
    .run = run,
};
