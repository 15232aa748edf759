/* Ollama's /api/create, and the files that clients send for it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/create.h"
#include "api/ollama.h"
#include "base/machine.h"
#include "net/sse.h"
#include "store/settings.h"

/* "sha256:HEX", or with a dash, as the digest alone. */
static bool digest_of(const char *text, char digest[65])
{
    if (!text || strncmp(text, "sha256", 6) != 0 || (text[6] != ':' && text[6] != '-'))
        return false;
    if (!store_digest_valid(text + 7)) return false;
    memcpy(digest, text + 7, 65);
    return true;
}

/* ---- /api/blobs -------------------------------------------------------------------------------
 */

static enum status take_piece(void *ctx, const void *data, size_t len)
{
    struct call *c = ctx;
    return store_upload_write(c->upload, data, len, &c->upload_error);
}

bool ollama_begin_upload(struct call *c)
{
    char digest[65];
    if (!digest_of(c->rest, digest)) {
        call_failf(c, 400, "invalid_value",
                   "the path must end in sha256: and 64 lower-case hexadecimal digits");
        return false;
    }
    if (store_upload_begin(c->api->opt.store, digest, &c->upload, &c->upload_error) != OK) {
        call_error(c, &c->upload_error);
        return false;
    }
    http_take_body(c->r, (uint64_t)1 << 40, take_piece, c);
    return true;
}

static void post_blob(struct call *c)
{
    struct store_upload *u = c->upload;
    c->upload = NULL;
    if (c->upload_error.code || !u) {
        store_upload_abort(u);
        call_error(c, &c->upload_error);
        return;
    }
    if (store_upload_finish(u, &c->upload_error) == OK)
        http_respond(c->r, 201, NULL, "", 0);
    else if (c->upload_error.code == ERR_INTEGRITY)
        call_failf(c, 400, "digest_mismatch", "%s", c->upload_error.msg);
    else
        call_error(c, &c->upload_error);
}

static void get_blob(struct call *c)
{
    char digest[65], *path;
    struct error err = {0};
    if (!digest_of(c->rest, digest)) {
        call_failf(c, 400, "invalid_value",
                   "the path must end in sha256: and 64 lower-case hexadecimal digits");
    } else if (store_upload_path(c->api->opt.store, digest, &path, &err) != OK) {
        call_error(c, &err);
    } else {
        free(path);
        http_respond(c->r, 200, NULL, "", 0);
    }
}

/* ---- /api/create ------------------------------------------------------------------------------
 */

enum { MAX_FILES = 256 };

struct creating {
    struct ollama_work work; /* first */
    char name[STORE_NAME_SIZE];
    struct store_file files[MAX_FILES]; /* that were sent; names are the body's */
    char digests[MAX_FILES][65];
    size_t n_files;
    json_t *settings;
};

static void creating_free(struct ollama_work *w)
{
    json_decref(((struct creating *)w)->settings);
    free(w);
}

static void set_text(json_t *to, struct reader *rd, const char *key)
{
    const char *text = NULL;
    read_string(rd, key, &text, NULL);
    if (text && *text) json_object_set_new(to, key, json_string(text));
}

/* Clients send whole numbers as such and as 1.0, and "stop" as a text. */
static json_t *parameters_of(struct reader *rd)
{
    const json_t *given = read_object(rd, "parameters");
    json_t *out = json_object(), *v;
    const char *name;
    json_object_foreach((json_t *)given, name, v)
    {
        const struct parameter *p = parameter_find(name);
        double x = json_number_value(v);
        if (p && p->kind == PARAMETER_INT && json_is_real(v) && x == (double)(int64_t)x)
            json_object_set_new(out, name, json_integer((json_int_t)x));
        else if (p && p->kind == PARAMETER_TEXTS && json_is_string(v))
            json_object_set_new(out, name, json_pack("[O]", v));
        else if (!json_is_null(v))
            json_object_set(out, name, v);
    }
    return out;
}

static json_t *settings_of(struct reader *rd)
{
    json_t *s = json_object(), *parameters = parameters_of(rd);
    set_text(s, rd, "template");
    set_text(s, rd, "system");
    set_text(s, rd, "requires");
    if (json_object_size(parameters)) json_object_set(s, "parameters", parameters);
    json_decref(parameters);
    const json_t *license = read_any(rd, "license"),
                 *messages = read_array(rd, "messages", SETTINGS_MAX_MESSAGES), *m;
    if (json_is_string(license) && json_string_length(license))
        json_object_set_new(s, "license", json_pack("[O]", license));
    else if (license && !json_is_string(license) && !json_is_array(license))
        read_fail(rd, "'license' must be a text or a list of texts");
    else if (json_array_size(license))
        json_object_set(s, "license", (json_t *)license);
    size_t i;
    json_t *list = json_array();
    json_array_foreach(messages, i, m)
        json_array_append_new(list, json_pack("{s:O*, s:O*}", "role", json_object_get(m, "role"),
                                              "content", json_object_get(m, "content")));
    if (json_array_size(list)) json_object_set(s, "messages", list);
    json_decref(list);
    if (json_object_size(read_object(rd, "adapters")))
        json_object_set_new(s, "adapters", json_pack("[s]", "a file that was sent"));
    if (!rd->err.code) settings_check(s, &rd->err);
    if (!rd->err.code) create_check_template(s, &rd->err);
    return s;
}

/* One GGUF file, of whose name no path is made, or the files of a folder. */
static void read_files(struct reader *rd, struct creating *p)
{
    const json_t *files = read_object(rd, "files");
    const char *name;
    json_t *v;
    if (json_object_size(files) > MAX_FILES) {
        read_fail(rd, "'files' may name at most %d files", MAX_FILES);
        return;
    }
    json_object_foreach((json_t *)files, name, v)
    {
        if (*name == '/' || strstr(name, ".."))
            read_fail(rd, "'files': a file's path must be relative");
        else if (!digest_of(json_string_value(v), p->digests[p->n_files]))
            read_fail(
                rd,
                "'files' gives each file's digest as sha256: and 64 lower-case hexadecimal digits");
        if (rd->err.code) return;
        p->files[p->n_files] = (struct store_file){name, p->digests[p->n_files]};
        p->n_files++;
    }
}

static enum status run_create(struct ollama_work *w, struct store *s, const struct store_events *ev,
                              struct error *err)
{
    struct creating *p = (struct creating *)w;
    const json_t *body = w->c->body;
    struct store_model made;
    const char *to = json_string_value(json_object_get(body, "quantize"));
    char *path = NULL, *folder = NULL;
    struct create_request rq = {.name = p->name,
                                .settings = p->settings,
                                .events = ev,
                                .pull = true,
                                .quantize = to && *to ? to : NULL,
                                .n_threads = machine_physical_cores()};
    enum status st = OK;
    if (p->n_files == 0) {
        rq.from = json_string_value(json_object_get(body, "from"));
    } else if (p->n_files == 1) {
        st = store_upload_path(s, p->digests[0], &path, err);
        rq.path = path;
        rq.take = path && strstr(path, "/uploads/") && !rq.quantize;
    } else {
        st = store_upload_folder(s, p->files, p->n_files, &folder, err);
        rq.path = folder;
    }
    if (st == OK) st = create_model(s, &rq, &made, err);
    if (st == OK) {
        ollama_say(w, json_pack("{s:s}", "status", "success"));
        for (size_t i = 0; i < p->n_files; i++) store_upload_forget(s, p->digests[i]);
        store_model_fini(&made);
    }
    store_upload_folder_remove(folder);
    free(path);
    return st;
}

static void post_create(struct call *c)
{
    struct reader rd = {.obj = c->body};
    const char *name = NULL, *from = NULL, *quantize = NULL;
    bool stream = true;
    struct creating *p = calloc(1, sizeof *p);
    if (!p) {
        call_failf(c, 503, "out_of_memory", "no memory for the request");
        return;
    }
    read_string(&rd, "name", &name, NULL);
    read_string(&rd, "model", &name, NULL);
    read_string(&rd, "from", &from, NULL);
    read_string(&rd, "quantize", &quantize, NULL);
    read_bool(&rd, "stream", &stream);
    read_files(&rd, p);
    if (!rd.err.code && read_any(&rd, "modelfile"))
        read_fail(&rd, "'modelfile' is of an older version of this API; send from, system, "
                       "template, parameters, ...");
    if (!rd.err.code && (!name || !*name)) read_fail(&rd, "'model' is missing");
    if (!rd.err.code && !p->n_files && (!from || !*from))
        read_fail(&rd, "neither 'from' or 'files' was specified");
    if (!rd.err.code) store_new_name(name, p->name, &rd.err);
    p->settings = settings_of(&rd);
    p->work =
        (struct ollama_work){.c = c, .stream = stream, .run = run_create, .destroy = creating_free};
    if (rd.err.code) {
        creating_free(&p->work);
        call_error(c, &rd.err);
        return;
    }
    ollama_start(&p->work);
}

const struct route routes_ollama_create[] = {
    {"POST", "/api/create", &dialect_ollama, ROUTE_JSON | ROUTE_CHANGES, post_create},
    {"POST", "/api/blobs/", &dialect_ollama, ROUTE_CHANGES | ROUTE_PREFIX | ROUTE_UPLOAD,
     post_blob},
    {"GET", "/api/blobs/", &dialect_ollama, ROUTE_PREFIX, get_blob},
    {0},
};
