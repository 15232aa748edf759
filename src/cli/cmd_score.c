/* hearth score: how probable a model finds a text. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/confined.h"
#include "cli/load.h"
#include "infer/engine.h"
#include "infer/text_io.h"
#include "model/model.h"

enum { MAX_TEXT_BYTES = 64 << 20, N_SURPRISES = 10 };

struct score_options {
    const char *model, *kv_type;
    int64_t threads;
    bool special, json;
};

static const struct option options[] = {
    {"model", 'm', OPTION_STRING, "MODEL", "Model name, or path to a GGUF file",
     offsetof(struct score_options, model)},
    {"threads", 't', OPTION_INT, "N", "Threads to compute with (default: all physical cores)",
     offsetof(struct score_options, threads), 1, 1024},
    OPTION_KV_TYPE(struct score_options),
    {"special", 0, OPTION_FLAG, NULL, "The text of control tokens in FILE becomes the token",
     offsetof(struct score_options, special)},
    {"json", 0, OPTION_FLAG, NULL, "Print every token with its log-probability as JSON",
     offsetof(struct score_options, json)},
    {0},
};

struct scored {
    struct engine *engine;
    struct token_list tokens;
    double *logprob;   /* [tokens.len]; the first is NaN */
    size_t n_bytes;    /* of the text */
    double nll;        /* sum of -logprob, in nats */
    double perplexity; /* exp(nll / (n - 1)); NaN for a single token */
};

static enum status score(const struct score_options *o, const struct buf *text, struct scored *s,
                         struct error *err)
{
    struct session *session = NULL;
    enum status st = cli_load_engine_kv(o->model, (int)o->threads, o->kv_type,
                                        &s->engine, err);
    if (st == OK) st = confined_seal(true, err);
    if (st != OK) return st;
    st = prompt_encode(engine_tokenizer(s->engine), text->data ? text->data : "", text->len,
                       o->special, &s->tokens, err);
    if (st != OK) return st;
    size_t n = s->tokens.len, train = engine_model_info(s->engine)->n_ctx_train;
    if (n == 0) return error_set(err, ERR_INVALID, "the text is empty: there is nothing to score");
    if (n > train)
        return error_set(err, ERR_LIMIT,
                         "the text has %zu tokens, but this model's context holds %zu at most: "
                         "score it in parts",
                         n, train);
    s->logprob = calloc(n, sizeof *s->logprob);
    if (!s->logprob) return error_set(err, ERR_NOMEM, "no memory for %zu scores", n);
    st = session_create(s->engine, n, &session, err);
    if (st == OK) st = session_score(session, s->tokens.ids, n, s->logprob, err);
    session_destroy(session);
    if (st != OK) return st;
    for (size_t i = 1; i < n; i++) s->nll -= s->logprob[i];
    s->perplexity = n > 1 ? exp(s->nll / (double)(n - 1)) : NAN;
    s->n_bytes = text->len;
    return OK;
}

/* ---- JSON -------------------------------------------------------------------------------------
 */

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static enum status print_json(const struct scored *s, struct error *err)
{
    enum status st = OK;
    json_t *tokens = json_array();
    for (size_t i = 0; i < s->tokens.len; i++)
        if (json_array_append_new(tokens, json_pack("{s:i, s:o}", "id", s->tokens.ids[i], "logprob",
                                                    number(i ? s->logprob[i] : NAN))) != 0)
            st = ERR_NOMEM;
    json_t *root =
        json_pack("{s:o, s:I, s:o, s:o}", "tokens", tokens, "n_tokens", (json_int_t)s->tokens.len,
                  "nll", number(s->nll), "perplexity", number(s->perplexity));
    if (st != OK) {
        json_decref(root);
        root = NULL;
    }
    return cli_print_json(root, JSON_COMPACT, err);
}

/* ---- for people -------------------------------------------------------------------------------
 */

/* The piece of text in quotes, control characters and quotes escaped, what is no UTF-8 replaced. */
static void print_piece(const struct tokenizer *tok, int32_t id)
{
    char piece[256];
    size_t n = tokenizer_piece(tok, id, true, piece, sizeof piece);
    if (n > sizeof piece) n = 0;
    struct buf valid;
    buf_init(&valid, 3 * sizeof piece);
    putchar('"');
    if (text_append_valid(&valid, piece, n) == OK)
        for (size_t i = 0; i < valid.len; i++) {
            unsigned char c = (unsigned char)valid.data[i];
            if (c == '\n')
                fputs("\\n", stdout);
            else if (c == '\t')
                fputs("\\t", stdout);
            else if (c == '"' || c == '\\')
                printf("\\%c", c);
            else if (c < 0x20 || c == 0x7f)
                printf("\\x%02x", c);
            else
                putchar(c);
        }
    putchar('"');
    buf_fini(&valid);
}

static void print_table(const struct scored *s)
{
    size_t n = s->tokens.len;
    printf("tokens       %zu\n", n);
    printf("nll          %.4f nats\n", s->nll);
    if (n > 1) {
        printf("perplexity   %.4f\n", s->perplexity);
        if (s->n_bytes > 0) printf("bits a byte  %.4f\n", s->nll / log(2) / (double)s->n_bytes);
    }
    bool *shown = calloc(n, sizeof *shown);
    if (!shown || n < 2) goto out;
    printf("\nleast expected:\n  position   logprob  token\n");
    for (int k = 0; k < N_SURPRISES; k++) {
        size_t worst = 0;
        for (size_t i = 1; i < n; i++)
            if (!shown[i] && (worst == 0 || s->logprob[i] < s->logprob[worst])) worst = i;
        if (worst == 0) break;
        shown[worst] = true;
        printf("  %8zu  %8.3f  ", worst, s->logprob[worst]);
        print_piece(engine_tokenizer(s->engine), s->tokens.ids[worst]);
        putchar('\n');
    }
out:
    free(shown);
}

extern const struct command cmd_score;

static int run(const void *p, int argc, char **argv)
{
    const struct score_options *o = p;
    if (argc == 0 && isatty(STDIN_FILENO))
        return cli_usage_error(&cmd_score, "no FILE: name one, or pipe a text in");
    struct scored s = {0};
    struct error err = {0};
    struct buf text;
    buf_init(&text, MAX_TEXT_BYTES);
    enum status st = cli_read_text(argc ? argv[0] : "-", &text, &err);
    if (st == OK) st = score(o, &text, &s, &err);
    if (st == OK && o->json)
        st = print_json(&s, &err);
    else if (st == OK)
        print_table(&s);
    int code = st == OK ? EXIT_OK : cli_fail(&err);
    buf_fini(&text);
    engine_close(s.engine);
    token_list_fini(&s.tokens);
    free(s.logprob);
    return code;
}

const struct command cmd_score = {
    .name = "score",
    .summary = "Tell how probable a model finds a text",
    .usage = "score [FILE|-] [options]",
    .description =
        "Prints the natural logarithm of each token's probability given the tokens before it, "
        "their "
        "negative sum (nll) and the perplexity, exp(nll / (tokens - 1)). The first token has no "
        "probability. Without FILE, or with -, the text is read from standard input. BOS comes "
        "first where the model asks for it.\n"
        "\n"
        "Examples:\n"
        "  hearth score -m qwen2.5-coder:0.5b src/main.c\n"
        "  hearth score --json < notes.txt\n",
    .options = options,
    .options_size = sizeof(struct score_options),
    .min_args = 0,
    .max_args = 1,
    .arg_metavar = "FILE|-",
    .run = run,
};
