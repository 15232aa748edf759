/* hearth stop [MODEL]: a running server's models out of memory. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"

struct stop_options {
    const char *server;
};

static const struct option options[] = {
    CLIENT_OPTION(struct stop_options),
    {0},
};

static bool is_loaded(const json_t *models, const char *name)
{
    size_t i;
    const json_t *m;
    json_array_foreach(models, i, m)
    {
        const char *own = json_string_value(json_object_get(m, "name"));
        if (own && strcmp(own, name) == 0) return true;
    }
    return false;
}

/* The server knows which model a short name means, and tells its whole one. */
static enum status stop_one(struct client *c, const json_t *models, const char *typed,
                            struct error *err)
{
    json_t *answer;
    enum status st = client_ask(
        c, "/api/generate",
        json_pack("{s:s, s:i, s:b}", "model", typed, "keep_alive", 0, "stream", 0), &answer, err);
    if (st != OK) return st;
    const char *name = json_string_value(json_object_get(answer, "model"));
    if (name && is_loaded(models, name))
        printf("stopped %s\n", name);
    else
        st = error_set(err, ERR_NOT_FOUND,
                       "model %s is not loaded; 'hearth ps' lists those that are",
                       name ? name : typed);
    json_decref(answer);
    return st;
}

static int run(const void *opts, int argc, char **argv)
{
    const struct stop_options *o = opts;
    struct error err = {0};
    struct client *c = NULL;
    json_t *all = NULL, *m;
    size_t i;
    enum status st = client_open(o->server, &c, &err);
    if (st == OK) st = client_ask(c, "/api/ps", NULL, &all, &err);
    const json_t *models = json_object_get(all, "models");
    if (st == OK && argc > 0) st = stop_one(c, models, argv[0], &err);
    if (st == OK && argc == 0) json_array_foreach(models, i, m) if (st == OK)
        {
            const char *name = json_string_value(json_object_get(m, "name"));
            if (name) st = stop_one(c, models, name, &err);
        }
    if (st == OK && argc == 0 && json_array_size(models) == 0)
        fprintf(stderr, "hearth: no model is loaded\n");
    json_decref(all);
    client_close(c);
    return st == OK ? EXIT_OK : cli_fail(&err);
}

extern const struct command cmd_stop;
const struct command cmd_stop = {
    .name = "stop",
    .summary = "Take a running server's models out of memory",
    .usage = "stop [MODEL] [options]",
    .description = "Without MODEL: all of them. A model that is answering goes when its requests "
                   "have ended. The\n"
                   "server itself goes on; Ctrl-C ends it.\n"
                   "\n"
                   "Examples:\n"
                   "  hearth stop qwen2.5-coder:1.5b\n"
                   "  hearth stop\n",
    .options = options,
    .options_size = sizeof(struct stop_options),
    .max_args = 1,
    .arg_metavar = "INSTALLED",
    .run = run,
};
