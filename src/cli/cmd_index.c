/* hearth index: makes a folder's code searchable, and keeps it so. */
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/index_embed.h"
#include "cli/load.h"
#include "index/index.h"

struct index_cli_options {
    const char *embed_model;
    int64_t threads, max_kib;
    bool json, watch, rebuild, no_ignore, background;
};

static const struct option options[] = {
    {"embed-model", 'e', OPTION_STRING, "MODEL", "Find by meaning, too: vectors of this embedding model",
     offsetof(struct index_cli_options, embed_model), 0, 0},
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
    {"threads", 't', OPTION_INT, "N", "Threads that read and parse (default 2)",
     offsetof(struct index_cli_options, threads), 1, 64},
    {0},
};

struct shown {
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

static void updated(void *ctx, const struct index_counts *counts)
{
    struct shown *s = ctx;
    end_bar(s);
    print_counts(counts, s->json, s->err);
}

static enum status embed_all(const char *root, const struct index_cli_options *o, const char *model,
                             const struct index_update_options *opt, struct shown *shown, struct error *err)
{
    struct index_embed e;
    struct index_embedder embedder;
    uint64_t done = 0;
    enum status st = index_embed_open(&e, model, (int)o->threads, &embedder, err);
    if (st) return st;
    e.cancel = opt->cancel;
    st = index_embed(root, opt, &embedder, &done, err);
    end_bar(shown);
    if (st == OK && o->json) st = cli_print_json(json_pack("{s:I}", "embedded", (json_int_t)done), 0, err);
    else if (st == OK) printf("%llu new vectors\n", (unsigned long long)done);
    index_embed_close(&e);
    return st;
}

/* The model that made the index's vectors, malloc'd, where some chunk has none yet; else NULL. */
static char *remembered_model(const char *root, const char *cache)
{
    struct index *ix;
    struct index_info info;
    struct error ignored = {0};
    if (index_open(root, cache, &ix, &ignored) != OK) return NULL;
    bool wants = index_info(ix, &info, &ignored) == OK && *info.model && info.vectors < info.chunks;
    index_close(ix);
    return wants ? strdup(info.model) : NULL;
}

/* Vectors for what is new, by the model that is asked for or that made the others; the latter may be gone. */
static enum status embed_new(const char *root, const struct index_cli_options *o, const struct index_update_options *opt,
                             struct shown *shown, struct error *err)
{
    if (o->embed_model) return embed_all(root, o, o->embed_model, opt, shown, err);
    char *model = remembered_model(root, opt->cache);
    enum status st = model ? embed_all(root, o, model, opt, shown, err) : OK;
    if (st != OK && st != ERR_CANCELLED) {
        fprintf(stderr, "hearth: what is new is found by words alone until it has vectors: %s\n", err->msg);
        *err = (struct error){0};
        st = OK;
    }
    free(model);
    return st;
}

static int run(const void *opts, int argc, char **argv)
{
    const struct index_cli_options *o = opts;
    struct error err = {0};
    struct shown shown = {.json = o->json, .err = &err};
    struct index_counts counts;
    const char *root = argc ? argv[0] : ".";
    char *cache = cli_index_cache(&err);
    if (!cache) return cli_fail(&err);
    struct index_update_options opt = {.cache = cache, .threads = (int)o->threads,
                                       .max_file_bytes = (uint64_t)o->max_kib * 1024, .no_ignore = o->no_ignore,
                                       .background = o->background, .rebuild = o->rebuild,
                                       .cancel = cli_catch_interrupt(), .progress = show, .ctx = &shown};
    enum status st = OK;
    if (!o->watch || o->embed_model) {
        st = index_update(root, &opt, &counts, &err);
        end_bar(&shown);
        if (st == OK) st = print_counts(&counts, o->json, &err);
        if (st == OK) st = embed_new(root, o, &opt, &shown, &err);
    }
    opt.rebuild = opt.rebuild && !o->embed_model;
    if (st == OK && o->watch) {
        st = index_watch(root, &opt, updated, &err);
        end_bar(&shown);
    }
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
        "machine. Files that .gitignore or .hearthignore leave out, binary files, and files that by\n"
        "their names hold secrets (.env, *.pem, id_rsa, ...) are not read. Run it again and only what\n"
        "changed is read; stopped at any moment, the next run goes on. The embedding model is remembered\n"
        "for the next runs. --watch follows changes.\n"
        "\n"
        "Examples:\n"
        "  hearth index\n"
        "  hearth index ~/src/project --embed-model minilm.gguf\n"
        "  hearth index --watch\n",
    .options = options,
    .options_size = sizeof(struct index_cli_options),
    .max_args = 1,
    .arg_metavar = "DIR",
    .run = run,
};
