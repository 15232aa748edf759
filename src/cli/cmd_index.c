/* hearth index: makes a folder's code searchable, and keeps it so. */
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/index_embed.h"
#include "cli/index_store.h"
#include "cli/load.h"
#include "index/index.h"

struct index_cli_options {
    const char *embed_model, *store;
    int64_t threads, max_kib;
    bool json, watch, rebuild, no_ignore, background;
};

static const struct option options[] = {
    {"embed-model", 'e', OPTION_STRING, "MODEL", "Find by meaning, too: vectors of this embedding model",
     offsetof(struct index_cli_options, embed_model), 0, 0},
    {"store", 0, OPTION_STRING, "URL", CLI_STORE_HELP, offsetof(struct index_cli_options, store), 0, 0},
    {"watch", 'w', OPTION_FLAG, NULL, "Stay and follow changes until Ctrl-C", offsetof(struct index_cli_options, watch), 0, 0},
    {"json", 0, OPTION_FLAG, NULL, "Print the result as JSON, one object an update",
     offsetof(struct index_cli_options, json), 0, 0},
    {"rebuild", 0, OPTION_FLAG, NULL, "Start anew", offsetof(struct index_cli_options, rebuild), 0, 0},
    {"no-ignore", 0, OPTION_FLAG, NULL, "Index what ignore files leave out, too",
     offsetof(struct index_cli_options, no_ignore), 0, 0},
    {"background", 0, OPTION_FLAG, NULL, "Run when nothing else wants the processor",
     offsetof(struct index_cli_options, background), 0, 0},
    {"max-size", 0, OPTION_INT, "KIB", "Leave larger files out (default 1024)",
     offsetof(struct index_cli_options, max_kib), 1, 65536},
    {"threads", 't', OPTION_INT, "N", "Threads that read and parse (default: one a core, 2 to 6)",
     offsetof(struct index_cli_options, threads), 1, 64},
    {0},
};

/* The model and the store of the vectors, open while the command runs. */
struct maker {
    bool open, tried;
    struct index_embed embed;
    struct index_embedder embedder;
    struct vector_store *store; /* NULL: the index itself */
};

struct shown {
    const char *root;
    const struct index_cli_options *o;
    const struct index_update_options *opt;
    struct maker maker;
    struct progress *bar;
    enum index_stage stage;
    bool json;
    struct error *err;
};

static void show(void *ctx, enum index_stage stage, uint64_t done, uint64_t total)
{
    struct shown *s = ctx;
    if (total == 0) return;
    if (!s->bar || s->stage != stage) {
        progress_end(s->bar);
        s->bar = progress_start(stage == INDEX_STAGE_EMBEDDING ? "embedding" : "indexing", false);
        s->stage = stage;
    }
    progress_update(s->bar, done, total);
}

static void end_bar(struct shown *s)
{
    progress_end(s->bar);
    s->bar = NULL;
}

static enum status print_counts(const struct index_counts *c, bool json, struct error *err)
{
    if (json)
        return cli_print_json(
            json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:f}", "files", (json_int_t)c->files,
                      "read", (json_int_t)c->read, "written", (json_int_t)c->written, "removed", (json_int_t)c->removed,
                      "binary", (json_int_t)c->binary, "unstable", (json_int_t)c->unstable, "failed",
                      (json_int_t)c->failed, "bytes", (json_int_t)c->bytes, "chunks_new", (json_int_t)c->chunks_new,
                      "chunks_reused", (json_int_t)c->chunks_reused, "ignored", (json_int_t)c->ignored, "secret",
                      (json_int_t)c->secret, "large", (json_int_t)c->large, "rebuilt", c->rebuilt, "seconds",
                      c->seconds),
            0, err);
    if (c->rebuilt) printf("The index was damaged or of another version, and is made anew.\n");
    printf("%llu files; %llu read, %llu changed, %llu gone, in %.2f s\n", (unsigned long long)c->files,
           (unsigned long long)c->read, (unsigned long long)c->written, (unsigned long long)c->removed, c->seconds);
    if (c->unstable || c->failed)
        printf("%llu changed while they were read and %llu could not be read: next time\n",
               (unsigned long long)c->unstable, (unsigned long long)c->failed);
    fflush(stdout);
    return OK;
}

static enum status maker_open(struct shown *s, const char *model, struct error *err)
{
    struct maker *m = &s->maker;
    enum status st = index_embed_open(&m->embed, model, (int)s->o->threads, &m->embedder, err);
    if (st) return st;
    m->open = true;
    m->embed.cancel = s->opt->cancel;
    m->embedder.store = m->store;
    return OK;
}

static enum status embed(struct shown *s, struct error *err)
{
    uint64_t done = 0;
    enum status st = index_embed(s->root, s->opt, &s->maker.embedder, &done, err);
    end_bar(s);
    if (st) return st;
    s->maker.embedder.trust_store = true; /* looked through once is enough while we watch */
    if (s->json) return cli_print_json(json_pack("{s:I}", "embedded", (json_int_t)done), 0, err);
    if (done || !s->o->watch) printf("%llu new vectors\n", (unsigned long long)done);
    fflush(stdout);
    return OK;
}

/* What the index says of its vectors; zeroed where there is none. */
static struct index_info info_of(const struct shown *s)
{
    struct index *ix;
    struct index_info info = {0};
    struct error ignored = {0};
    if (index_open(s->root, s->opt->cache, &ix, &ignored) != OK) return info;
    if (index_info(ix, &info, &ignored) != OK) info = (struct index_info){0};
    index_close(ix);
    return info;
}

/* Vectors for what is new, by the model that made the others; it may be gone. */
static enum status embed_remembered(struct shown *s, struct error *err)
{
    struct maker *m = &s->maker;
    if (m->open) return embed(s, err); /* while watching: known by now */
    struct index_info info = info_of(s);
    enum status st = OK;
    bool elsewhere = *info.store && !m->store;
    if (!*info.model) {
        if (s->o->store)
            return error_set(err, ERR_INVALID, "a store is for vectors, and this index has none; name a model by --embed-model");
        if (!s->json && !m->tried)
            printf("Found by words and names. To find by meaning, too, name an embedding model (a BERT-like GGUF file,"
                   " such as all-MiniLM): hearth index --embed-model MODEL\n");
        m->tried = true;
        return OK;
    }
    if (elsewhere && info.vectors < info.chunks)
        st = error_set(err, ERR_INVALID, "the vectors are in %.300s; name it by --store or HEARTH_STORE", info.store);
    else if (elsewhere || (!m->store && info.vectors >= info.chunks))
        return OK;
    if (st == OK) st = maker_open(s, info.model, err);
    if (st == OK) st = embed(s, err);
    if (st != OK && st != ERR_CANCELLED && !s->o->store) {
        fprintf(stderr, "hearth: what is new is found by words alone until it has vectors: %s\n", err->msg);
        *err = (struct error){0};
        st = OK;
    }
    return st;
}

static enum status embed_new(struct shown *s, struct error *err)
{
    if (!s->o->embed_model) return embed_remembered(s, err);
    enum status st = s->maker.open ? OK : maker_open(s, s->o->embed_model, err);
    return st ? st : embed(s, err);
}

/* After an update while watching: a failure, of a server for instance, waits for the next save. */
static void updated(void *ctx, const struct index_counts *counts)
{
    struct shown *s = ctx;
    struct error err = {0};
    end_bar(s);
    print_counts(counts, s->json, s->err);
    enum status st = embed_new(s, &err);
    if (st != OK && st != ERR_CANCELLED)
        fprintf(stderr, "hearth: what is new is found by words alone until it has vectors: %s\n", err.msg);
}

static enum status work(struct shown *s, struct index_update_options *opt, struct error *err)
{
    struct index_counts counts;
    enum status st = cli_store_open(s->o->store, false, opt->cancel, &s->maker.store, err);
    /* A model that is not there should be known before the watch begins. */
    if (st == OK && s->o->watch && s->o->embed_model) st = maker_open(s, s->o->embed_model, err);
    if (st == OK && (!s->o->watch || opt->rebuild)) {
        st = index_update(s->root, opt, &counts, err);
        end_bar(s);
        if (st == OK) st = print_counts(&counts, s->json, err);
        if (st == OK) st = embed_new(s, err);
    }
    opt->rebuild = false; /* once, and not after each save */
    if (st == OK && s->o->watch) {
        st = index_watch(s->root, opt, updated, err);
        end_bar(s);
    }
    index_embed_close(&s->maker.embed);
    cli_store_close(s->maker.store);
    return st;
}

static int run(const void *opts, int argc, char **argv)
{
    const struct index_cli_options *o = opts;
    struct error err = {0};
    char *cache = cli_index_cache(&err);
    if (!cache) return cli_fail(&err);
    struct shown shown = {.root = argc ? argv[0] : ".", .o = o, .json = o->json, .err = &err};
    struct index_update_options opt = {.cache = cache, .threads = (int)o->threads,
                                       .max_file_bytes = (uint64_t)o->max_kib * 1024, .no_ignore = o->no_ignore,
                                       .background = o->background, .rebuild = o->rebuild,
                                       .cancel = cli_catch_interrupt(), .progress = show, .ctx = &shown};
    shown.opt = &opt;
    enum status st = work(&shown, &opt, &err);
    free(cache);
    if (st == ERR_CANCELLED) {
        fprintf(stderr, "hearth: stopped; the next `hearth index` goes on from here\n");
        return EXIT_INTERRUPTED;
    }
    return st == OK ? EXIT_OK : cli_fail(&err);
}

const struct command cmd_index = {
    .name = "index",
    .summary = "Make a project's code searchable",
    .usage = "index [DIR] [options]",
    .description =
        "Reads the code under DIR (default: here), cuts it along its definitions, and keeps an index\n"
        "of words, names and, with --embed-model, meaning in the cache folder. Nothing leaves this\n"
        "machine, but for vectors where --store names a server. Files that .gitignore or .hearthignore\n"
        "leave out, binary files, and files that by their names hold secrets (.env, *.pem, id_rsa, ...)\n"
        "are not read. Run it again and only what changed is read; stopped at any moment, the next run\n"
        "goes on. The embedding model is remembered for the next runs. --watch follows changes.\n"
        "\n"
        "A team can share vectors on a Qdrant or Chroma server: --store (or HEARTH_STORE) names it, with\n"
        "TLS as qdrants:// or chromas://, HEARTH_STORE_KEY holds its API key. It gets vectors and hashes,\n"
        "no text and no path; words and names stay here.\n"
        "\n"
        "Examples:\n"
        "  hearth index\n"
        "  hearth index ~/src/project --embed-model minilm.gguf\n"
        "  hearth index --watch\n"
        "  hearth index --embed-model minilm.gguf --store qdrant://localhost:6333/project\n",
    .options = options,
    .options_size = sizeof(struct index_cli_options),
    .max_args = 1,
    .arg_metavar = "DIR",
    .run = run,
};
