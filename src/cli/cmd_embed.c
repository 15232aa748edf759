/* hearth embed: texts to vectors. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/confined.h"
#include "cli/embed_texts.h"
#include "cli/load.h"
#include "infer/embed.h"
#include "infer/engine.h"

enum { MAX_OUTPUT_BYTES = 2000000000 };

struct embed_cli_options {
    const char *model, *file, *pooling;
    int64_t threads;
    bool json, binary, raw, truncate;
};

static const struct option options[] = {
    {"model", 'm', OPTION_STRING, "MODEL", "Model name, or path to a GGUF file",
     offsetof(struct embed_cli_options, model), 0, 0},
    {"file", 'f', OPTION_STRING, "FILE", "Each line of FILE is a text",
     offsetof(struct embed_cli_options, file), 0, 0},
    {"json", 0, OPTION_FLAG, NULL, "Print one JSON object",
     offsetof(struct embed_cli_options, json), 0, 0},
    {"raw", 0, OPTION_FLAG, NULL, "Write 32-bit floats, least significant byte first",
     offsetof(struct embed_cli_options, binary), 0, 0},
    {"no-normalize", 0, OPTION_FLAG, NULL, "Leave the vectors' lengths as they come",
     offsetof(struct embed_cli_options, raw), 0, 0},
    {"pooling", 0, OPTION_STRING, "mean|first|last|none",
     "How tokens' vectors become one (default: as the model says)",
     offsetof(struct embed_cli_options, pooling), 0, 0},
    {"truncate", 0, OPTION_FLAG, NULL, "Cut the end off texts longer than the model's context",
     offsetof(struct embed_cli_options, truncate), 0, 0},
    {"threads", 't', OPTION_INT, "N", "Threads to compute with (default: all physical cores)",
     offsetof(struct embed_cli_options, threads), 1, 1024},
    {0},
};

static bool find_pooling(const char *name, enum embed_pooling *out)
{
    static const char *const names[] = {[EMBED_POOL_MEAN] = "mean",
                                        [EMBED_POOL_FIRST] = "first",
                                        [EMBED_POOL_LAST] = "last",
                                        [EMBED_POOL_NONE] = "none"};
    *out = EMBED_POOL_MODEL;
    for (size_t i = EMBED_POOL_MEAN; name && i <= EMBED_POOL_NONE; i++)
        if (strcmp(name, names[i]) == 0) *out = (enum embed_pooling)i;
    return !name || *out != EMBED_POOL_MODEL;
}

/* ---- output -----------------------------------------------------------------------------------
 */

/* Nine digits are enough to get the same float back; JSON knows no NaN. */
static enum status add_vector(struct buf *out, const float *v, size_t n, const char *between)
{
    enum status st = OK;
    for (size_t i = 0; i < n && st == OK; i++)
        st = buf_printf(out, isfinite(v[i]) ? "%s%.9g" : "%snull", i ? between : "", (double)v[i]);
    return st;
}

static enum status add_lines(struct buf *out, const struct embeddings *v)
{
    enum status st = OK;
    for (size_t i = 0; i < v->first[v->n_texts] && st == OK; i++) {
        st = add_vector(out, v->data + i * v->dim, v->dim, " ");
        if (st == OK) st = buf_append_str(out, "\n");
    }
    return st;
}

/* A text's vectors are an array where the pooling leaves it several. */
static enum status add_json(struct buf *out, const struct embeddings *v, bool many)
{
    enum status st = buf_printf(out,
                                "{\"dimensions\":%zu,\"tokens\":%zu,\"truncated\":%zu,"
                                "\"embeddings\":[",
                                v->dim, v->n_tokens, v->n_truncated);
    for (size_t t = 0; t < v->n_texts && st == OK; t++) {
        if (t) st = buf_append_str(out, ",");
        if (many && st == OK) st = buf_append_str(out, "[");
        for (size_t i = v->first[t]; i < v->first[t + 1] && st == OK; i++) {
            st = buf_append_str(out, i > v->first[t] ? ",[" : "[");
            if (st == OK) st = add_vector(out, v->data + i * v->dim, v->dim, ",");
            if (st == OK) st = buf_append_str(out, "]");
        }
        if (many && st == OK) st = buf_append_str(out, "]");
    }
    return st ? st : buf_append_str(out, "]}\n");
}

static enum status add_binary(struct buf *out, const struct embeddings *v)
{
    size_t n = v->first[v->n_texts] * v->dim;
    enum status st = OK;
    for (size_t i = 0; i < n && st == OK; i++) {
        uint32_t bits;
        memcpy(&bits, &v->data[i], sizeof bits);
        uint8_t bytes[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16),
                            (uint8_t)(bits >> 24)};
        st = buf_append(out, bytes, sizeof bytes);
    }
    return st;
}

static enum status print(const struct embed_cli_options *o, const struct embeddings *v, bool many,
                         struct error *err)
{
    struct buf out;
    buf_init(&out, MAX_OUTPUT_BYTES);
    enum status st = o->json     ? add_json(&out, v, many)
                     : o->binary ? add_binary(&out, v)
                                 : add_lines(&out, v);
    if (st)
        error_set(err, st, "no memory for %zu vectors", v->first[v->n_texts]);
    else
        st = cli_write(out.data, out.len, err);
    buf_fini(&out);
    return st;
}

extern const struct command cmd_embed;

static int run(const void *p, int argc, char **argv)
{
    const struct embed_cli_options *o = p;
    struct embed_options opt = {.raw = o->raw, .truncate = o->truncate};
    if (argc == 0 && !o->file)
        return cli_usage_error(&cmd_embed, "no TEXT: give one or more, - or --file FILE");
    if (argc && o->file) return cli_usage_error(&cmd_embed, "either TEXT or --file, not both");
    if (o->json && o->binary) return cli_usage_error(&cmd_embed, "either --json or --raw");
    if (!find_pooling(o->pooling, &opt.pooling))
        return cli_usage_error(&cmd_embed, "no pooling '%s': use mean, first, last or none",
                               o->pooling);
    struct error err = {0};
    struct engine *e = NULL;
    struct embed_texts texts = {0};
    struct embeddings v = {0};
    enum status st = embed_texts_read(&texts, o->file, argc, argv, &err);
    if (st == OK && texts.n == 0) st = error_set(&err, ERR_INVALID, "there is no text to embed");
    if (st == OK) st = cli_load_engine(o->model, (int)o->threads, &e, &err);
    if (st == OK) st = confined_seal(true, &err);
    opt.cancel = cli_catch_interrupt();
    if (st == OK) st = engine_embed(e, texts.list, texts.n, &opt, &v, &err);
    if (st == OK && v.n_truncated)
        fprintf(stderr, "%zu of %zu texts are longer than the model's context and lost their end\n",
                v.n_truncated, v.n_texts);
    if (st == OK) st = print(o, &v, opt.pooling == EMBED_POOL_NONE, &err);
    int code = st == OK ? EXIT_OK : cli_fail(&err);
    embeddings_fini(&v);
    engine_close(e);
    embed_texts_fini(&texts);
    return code;
}

const struct command cmd_embed = {
    .name = "embed",
    .summary = "Turn texts into vectors",
    .usage = "embed -m MODEL [TEXT...|-] [options]",
    .description =
        "Prints a vector for each text, in order: a line of numbers, or with --json one object. "
        "Texts\n"
        "that mean the same have vectors that point the same way: the sum of the products of "
        "their\n"
        "numbers is their likeness, 1 at most. With - each line of standard input is a text. Many\n"
        "texts in one call are faster than one by one, and have the same vectors. Embedding "
        "models'\n"
        "own pages say which words to put before a text ('query: ', 'search_document: '); nothing\n"
        "is added here.\n"
        "\n"
        "Examples:\n"
        "  hearth embed -m minilm.gguf 'how to sort a list'\n"
        "  hearth embed -m minilm.gguf --json --file questions.txt\n"
        "  hearth embed -m minilm.gguf --raw - < lines.txt > vectors.f32\n",
    .options = options,
    .options_size = sizeof(struct embed_cli_options),
    .max_args = -1,
    .arg_metavar = "TEXT|-",
    .run = run,
};
