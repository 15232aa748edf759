/* llama.cpp's slots. Hearth's requests have no fixed places: all of a model's slots are its kept
 * beginnings, which can be written to a file, taken from one, and forgotten. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/llama.h"
#include "api/read.h"
#include "base/clock.h"
#include "infer/cache_file.h"
#include "infer/scheduler.h"

enum { MAX_NAME = 128 };

static bool name_is_plain(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return n > 0 && n <= MAX_NAME && !s[n] && *s != '.';
}

/* The file that the body names, inside of the configured folder only; NULL: it has answered. */
static char *path_of(struct call *c, const char **name)
{
    const char *folder = c->api->opt.slots_dir;
    char *path = NULL;
    struct reader rd = {.obj = c->body};
    *name = NULL;
    read_string(&rd, "filename", name, NULL);
    if (!folder)
        call_failf(c, 501, "not_supported",
                   "this server keeps no slots; start it with --slot-save-path");
    else if (rd.err.code)
        call_error(c, &rd.err);
    else if (!*name || !name_is_plain(*name))
        call_failf(
            c, 400, "invalid_value",
            "'filename' must be a plain name of at most %d letters, digits, '.', '_' and '-'",
            MAX_NAME);
    else if (asprintf(&path, "%s/%s", folder, *name) < 0)
        call_failf(c, 503, "out_of_memory", "no memory for the request");
    return path;
}

static void save_slot(struct call *c, struct loaded_model *m, int id)
{
    struct error err = {0};
    const char *name;
    size_t n;
    uint64_t bytes;
    double start = clock_now();
    char *path = path_of(c, &name);
    if (!path) return;
    if (cache_file_save(m->scheduler, path, &n, &bytes, &err) == OK)
        call_json(c, 200,
                  json_pack("{s:i, s:s, s:I, s:I, s:{s:f}}", "id_slot", id, "filename", name,
                            "n_saved", (json_int_t)n, "n_written", (json_int_t)bytes, "timings",
                            "save_ms", api_round(1e3 * (clock_now() - start))));
    else
        call_error(c, &err);
    free(path);
}

static void restore_slot(struct call *c, struct loaded_model *m, int id)
{
    struct error err = {0};
    const char *name;
    size_t n;
    uint64_t bytes;
    double start = clock_now();
    char *path = path_of(c, &name);
    if (!path) return;
    enum status st = cache_file_load(m->scheduler, path, &n, &bytes, &err);
    if (st == OK)
        call_json(c, 200,
                  json_pack("{s:i, s:s, s:I, s:I, s:{s:f}}", "id_slot", id, "filename", name,
                            "n_restored", (json_int_t)n, "n_read", (json_int_t)bytes, "timings",
                            "restore_ms", api_round(1e3 * (clock_now() - start))));
    else if (st == ERR_NOT_FOUND || st == ERR_FORMAT || st == ERR_INTEGRITY)
        call_failf(c, 400, "invalid_value", "%.100s: %s", name, err.msg);
    else
        call_error(c, &err);
    free(path);
}

static void erase_slot(struct call *c, struct loaded_model *m, int id)
{
    struct sched_stats s;
    scheduler_stats(m->scheduler, &s);
    scheduler_drop_cache(m->scheduler);
    call_json(c, 200,
              json_pack("{s:i, s:I}", "id_slot", id, "n_erased",
                        (json_int_t)(s.pages_cached * s.page_tokens)));
}

static const struct {
    const char *query;
    void (*run)(struct call *c, struct loaded_model *m, int id);
} actions[] = {
    {"action=save", save_slot}, {"action=restore", restore_slot}, {"action=erase", erase_slot}};

static void post_slot(struct call *c)
{
    struct http_str body = http_body(c->r), query = http_query(c->r);
    size_t digits = strspn(c->rest, "0123456789"), i = 0, n = sizeof actions / sizeof *actions;
    int id = digits > 0 && digits < 4 && !c->rest[digits] ? atoi(c->rest) : -1;
    while (i < n && (query.len != strlen(actions[i].query) ||
                     memcmp(query.data, actions[i].query, query.len) != 0))
        i++;
    c->body = body.len ? json_loadb(body.data, body.len, 0, NULL) : json_object();
    if (id < 0 || id >= LLAMA_SLOTS)
        call_failf(c, 400, "invalid_value", "a slot is a number from 0 to %d", LLAMA_SLOTS - 1);
    else if (i == n)
        call_failf(c, 400, "invalid_value", "'action' must be save, restore or erase");
    else if (!json_is_object(c->body))
        call_failf(c, 400, "invalid_json", "the body must be a JSON object");
    else {
        struct loaded_model *m = llama_hold(c);
        if (m && m->scheduler)
            actions[i].run(c, m, id);
        else if (m)
            call_failf(c, 501, "not_supported", "%s writes no text and keeps none", m->name);
        if (m) served_release(m, NAN);
    }
}

const struct route routes_llama_slots[] = {
    {"POST", "/slots/", &dialect_llama, ROUTE_PREFIX, post_slot},
    {0},
};
