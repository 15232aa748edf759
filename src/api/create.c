#include "api/create.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/import.h"
#include "convert/quantize.h"
#include "convert/quantize_mix.h"
#include "gguf/gguf.h"
#include "store/settings.h"
#include "text/chat.h"

struct making {
    const struct store *s;
    const struct create_request *rq;
    struct store_model base; /* of `from` */
    json_t *settings;        /* owned */
    struct error *err;
};

static void tell(const struct making *m, const char *line)
{
    const struct store_events *ev = m->rq->events;
    if (ev && ev->notice) ev->notice(ev->ctx, line);
}

static bool on_bytes(void *ctx, uint64_t done, uint64_t total)
{
    const struct making *m = ctx;
    const struct store_events *ev = m->rq->events;
    return !ev || !ev->progress || ev->progress(ev->ctx, STORE_COPYING, done, total);
}

enum status create_check_template(const json_t *settings, struct error *err)
{
    const json_t *t = json_object_get(settings, "template");
    struct chat_source src = {0};
    struct chat *chat = NULL;
    if (json_string_length(t) == 0) return OK;
    chat_source_set(&src, json_string_value(t), json_string_length(t));
    enum status st = chat_create(&src, &chat, err);
    chat_destroy(chat);
    return st;
}

static enum status find_mix(const char *name, const struct quantize_mix **out, struct error *err)
{
    *out = NULL;
    for (const struct quantize_mix *m = quantize_mix_all(); m->name; m++)
        if (strcasecmp(m->name, name) == 0) *out = m;
    return *out ? OK
                : error_set(err, ERR_INVALID,
                            "'%.60s' is no type to quantize to; Q4_K_M is the usual one", name);
}

static enum status find_base(struct making *m)
{
    char name[STORE_NAME_SIZE];
    enum pull_outcome outcome;
    enum status st = store_resolve(m->s, m->rq->from, name, m->err);
    if (st != OK) return st;
    st = store_find(m->s, name, &m->base, m->err);
    if (st == ERR_NOT_FOUND && m->rq->pull && catalogue_find(store_catalogue(m->s), name)) {
        struct pull_request pull = {.name = name};
        tell(m, "pulling the model that it is made from");
        *m->err = (struct error){0};
        st = store_pull(m->s, &pull, m->rq->events, &outcome, &m->base, m->err);
    }
    if (st == OK && m->base.problem)
        st = error_set(m->err, ERR_INTEGRITY, "%s: %s", name, m->base.problem);
    return st;
}

/* The new file in the store, quantized from `in` or imported from the folder `in`. */
static enum status make_file(struct making *m, const char *in, bool folder)
{
    char *path, source[256];
    struct quantize_result result = {0};
    enum status st = store_import_path(m->s, m->rq->name, &path, m->err);
    if (st != OK) return st;
    int threads = m->rq->n_threads > 0 ? m->rq->n_threads : 1;
    if (folder) {
        struct import_report report;
        const struct import_options o = {.name = m->rq->name,
                                         .quantize = m->rq->quantize,
                                         .n_threads = threads,
                                         .progress = on_bytes,
                                         .ctx = m,
                                         .tokenizer = tokenizer_import};
        tell(m, "converting model");
        st = import_folder(in, path, &o, &report, m->err);
        snprintf(source, sizeof source, "%s%.200s",
                 strstr(in, "/uploads/folder-") ? "files that a client sent" : "folder ",
                 strstr(in, "/uploads/folder-") ? "" : in);
    } else {
        struct quantize_request q = {
            .in = in, .out = path, .n_threads = threads, .progress = on_bytes, .ctx = m};
        q.choices = (struct quantize_choices){.output = -1, .token_embd = -1};
        st = find_mix(m->rq->quantize, &q.choices.mix, m->err);
        if (st == OK) tell(m, "quantizing model");
        if (st == OK) st = quantize_file(&q, &result, m->err);
        snprintf(source, sizeof source, "%.180s, quantized",
                 m->base.name[0] ? m->base.name : "a file");
        quantize_result_fini(&result);
    }
    struct store_model made;
    if (st == OK) {
        st = store_adopt(m->s, m->rq->name, path, source, m->rq->events, &made, m->err);
        store_model_fini(&made);
    }
    free(path);
    return st;
}

/* A file as it is. */
static enum status take_file(struct making *m)
{
    struct gguf *g;
    struct store_model made = {0};
    enum pull_outcome outcome;
    enum status st = gguf_open(m->rq->path, &g, m->err); /* before it is anything in the store */
    if (st != OK) return st;
    gguf_close(g);
    tell(m, "creating model layer");
    if (m->rq->take) {
        st = store_adopt(m->s, m->rq->name, m->rq->path, "a file that a client sent", m->rq->events,
                         &made, m->err);
    } else {
        struct pull_request pull = {.name = m->rq->name, .file = m->rq->path};
        st = store_pull(m->s, &pull, m->rq->events, &outcome, &made, m->err);
    }
    store_model_fini(&made);
    return st;
}

static enum status make(struct making *m)
{
    struct stat sb;
    enum status st = OK;
    const struct create_request *rq = m->rq;
    if (rq->from) st = find_base(m);
    if (st != OK) return st;
    m->settings = settings_merge(m->base.settings, rq->settings);
    if (!m->settings) return error_set(m->err, ERR_NOMEM, "out of memory");
    if (rq->from) json_object_set_new(m->settings, "parent", json_string(m->base.name));
    if ((st = settings_check(m->settings, m->err)) != OK) return st;
    const char *path = rq->from ? m->base.path : rq->path, *has_file = rq->name;
    if (!rq->from && stat(path, &sb) != 0)
        return error_set(m->err, ERR_NOT_FOUND, "there is no file %s", path);
    bool folder = !rq->from && S_ISDIR(sb.st_mode);
    if (folder || rq->quantize)
        st = make_file(m, path, folder);
    else if (rq->from)
        has_file = m->base.name;
    else
        st = take_file(m);
    if (st == OK) tell(m, "writing manifest");
    return st == OK
               ? store_give_name(m->s, has_file, rq->name, m->settings, rq->events, NULL, m->err)
               : st;
}

enum status create_model(const struct store *s, const struct create_request *rq,
                         struct store_model *out, struct error *err)
{
    const struct quantize_mix *mix;
    struct making m = {.s = s, .rq = rq, .err = err};
    *out = (struct store_model){0};
    enum status st = settings_check(rq->settings, err);
    if (st == OK) st = create_check_template(rq->settings, err);
    if (st == OK && rq->quantize) st = find_mix(rq->quantize, &mix, err);
    if (st == OK) st = make(&m);
    if (st == OK) st = store_find(s, rq->name, out, err);
    json_decref(m.settings);
    store_model_fini(&m.base);
    return st;
}
