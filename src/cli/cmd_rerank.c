/* hearth rerank: which of several texts answers a question best. */
#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/confined.h"
#include "cli/embed_texts.h"
#include "cli/load.h"
#include "infer/embed.h"
#include "infer/engine.h"
#include "infer/text_io.h"

enum { SHOWN_BYTES = 100 };

struct rerank_options {
    const char *model, *file;
    int64_t threads, top;
    bool json, truncate;
};

static const struct option options[] = {
    {"model", 'm', OPTION_STRING, "MODEL", "Model name, or path to a GGUF file",
     offsetof(struct rerank_options, model), 0, 0},
    {"file", 'f', OPTION_STRING, "FILE", "Each line of FILE is a document",
     offsetof(struct rerank_options, file), 0, 0},
    {"top", 'n', OPTION_INT, "N", "Print the N best only", offsetof(struct rerank_options, top), 1,
     INT32_MAX},
    {"json", 0, OPTION_FLAG, NULL, "Print an array of objects",
     offsetof(struct rerank_options, json), 0, 0},
    {"truncate", 0, OPTION_FLAG, NULL, "Cut the end off documents that do not fit the context",
     offsetof(struct rerank_options, truncate), 0, 0},
    {"threads", 't', OPTION_INT, "N", "Threads to compute with (default: all physical cores)",
     offsetof(struct rerank_options, threads), 1, 1024},
    {0},
};

struct ranked {
    size_t index;
    float score;
};

/* Best first; equals in the order of the documents, NaN last. */
static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (isnan(x->score) != isnan(y->score)) return isnan(x->score) ? 1 : -1;
    if (x->score > y->score) return -1;
    if (x->score < y->score) return 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static json_t *ranked_json(const struct ranked *r)
{
    json_t *score = isfinite(r->score) ? json_real((double)r->score) : json_null();
    return json_pack("{s:I, s:o}", "index", (json_int_t)r->index, "score", score);
}

static enum status print_json(const struct ranked *r, size_t n, struct error *err)
{
    json_t *root = json_array();
    for (size_t i = 0; i < n && root; i++)
        if (json_array_append_new(root, ranked_json(&r[i])) != 0) {
            json_decref(root);
            root = NULL;
        }
    return cli_print_json(root, JSON_COMPACT | JSON_REAL_PRECISION(9), err);
}

/* The document's beginning, on one line. */
static enum status add_shown(struct buf *out, struct text_str d)
{
    size_t at = out->len, n = d.len < SHOWN_BYTES ? d.len : SHOWN_BYTES;
    while (n < d.len && n > 0 && ((unsigned char)d.data[n] & 0xc0) == 0x80) n--;
    enum status st = text_append_valid(out, d.data, n);
    for (; st == OK && at < out->len; at++)
        if ((unsigned char)out->data[at] < 0x20 || out->data[at] == 0x7f) out->data[at] = ' ';
    return st;
}

static enum status print_lines(const struct ranked *r, size_t n, const struct text_str *docs,
                               struct error *err)
{
    struct buf out;
    buf_init(&out, 1 << 30);
    enum status st = OK;
    for (size_t i = 0; i < n && st == OK; i++) {
        st = buf_printf(&out, "%10.4f  %4zu  ", (double)r[i].score, r[i].index);
        if (st == OK) st = add_shown(&out, docs[r[i].index]);
        if (st == OK) st = buf_append_str(&out, "\n");
    }
    if (st)
        error_set(err, st, "no memory for the result");
    else
        st = cli_write(out.data, out.len, err);
    buf_fini(&out);
    return st;
}

static enum status rank(const struct rerank_options *o, const char *query,
                        const struct embed_texts *docs, struct error *err)
{
    struct engine *e = NULL;
    float *scores = calloc(docs->n + 1, sizeof *scores);
    struct ranked *r = calloc(docs->n + 1, sizeof *r);
    struct embed_options opt = {.truncate = o->truncate, .cancel = cli_catch_interrupt()};
    enum status st = OK;
    if (!scores || !r) st = error_set(err, ERR_NOMEM, "no memory for %zu documents", docs->n);
    if (st == OK) st = cli_load_engine(o->model, (int)o->threads, &e, err);
    if (st == OK) st = confined_seal(true, err);
    if (st == OK)
        st = engine_rerank(e, (struct text_str){query, strlen(query)}, docs->list, docs->n, &opt,
                           scores, err);
    if (st == OK) {
        size_t n = o->top && (size_t)o->top < docs->n ? (size_t)o->top : docs->n;
        for (size_t i = 0; i < docs->n; i++) r[i] = (struct ranked){i, scores[i]};
        qsort(r, docs->n, sizeof *r, by_score);
        st = o->json ? print_json(r, n, err) : print_lines(r, n, docs->list, err);
    }
    engine_close(e);
    free(scores);
    free(r);
    return st;
}

extern const struct command cmd_rerank;

static int run(const void *p, int argc, char **argv)
{
    const struct rerank_options *o = p;
    if (argc == 0) return cli_usage_error(&cmd_rerank, "no QUERY");
    if (argc == 1 && !o->file)
        return cli_usage_error(&cmd_rerank, "no DOCUMENT: give one or more, - or --file FILE");
    if (argc > 1 && o->file)
        return cli_usage_error(&cmd_rerank, "either DOCUMENT or --file, not both");
    struct error err = {0};
    struct embed_texts docs = {0};
    enum status st = embed_texts_read(&docs, o->file, argc - 1, argv + 1, &err);
    if (st == OK && docs.n == 0) st = error_set(&err, ERR_INVALID, "there is no document to rank");
    if (st == OK) st = rank(o, argv[0], &docs, &err);
    int code = st == OK ? EXIT_OK : cli_fail(&err);
    embed_texts_fini(&docs);
    return code;
}

const struct command cmd_rerank = {
    .name = "rerank",
    .summary = "Sort documents by how well they answer a query",
    .usage = "rerank -m MODEL QUERY [DOCUMENT...|-] [options]",
    .description =
        "Prints each document's score, its number from 0 and its beginning, the best first. The "
        "model is\n"
        "a reranker, which reads query and document together. Scores compare documents for one "
        "query;\n"
        "most models mean them as the logit of a probability. With - each line of standard input "
        "is a\n"
        "document.\n"
        "\n"
        "Examples:\n"
        "  hearth rerank -m bge-reranker.gguf 'sort a list' 'qsort(3)' 'malloc(3)'\n"
        "  grep -rh '^/\\*' src | hearth rerank -m bge-reranker.gguf 'reads a file' - --top 3\n",
    .options = options,
    .options_size = sizeof(struct rerank_options),
    .max_args = -1,
    .arg_metavar = "QUERY DOCUMENT|-",
    .run = run,
};
