/* hearth push MODEL HOST/REPOSITORY[:TAG] */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/load.h"
#include "cli/store_screen.h"
#include "store/push.h"

struct push_options {
    bool insecure, quiet;
};

static int run(const void *options, int argc, char **argv)
{
    const struct push_options *o = options;
    struct error err = {0};
    struct store *s;
    struct store_screen sc = {.label = "sending",
                              .least = (1 << 20) + 1,
                              .quiet = o->quiet,
                              .interrupted = cli_catch_interrupt()};
    const struct store_events ev = store_screen_events(&sc);
    char name[STORE_NAME_SIZE], digest[72];
    const char *token = getenv("HEARTH_REGISTRY_TOKEN");
    (void)argc;
    enum status st = store_open(NULL, &s, &err);
    if (st != OK) return cli_fail(&err);
    const struct push_request rq = {.name = name,
                                    .destination = argv[1],
                                    .allow_http = o->insecure,
                                    .token = token && *token ? token : NULL};
    st = store_resolve(s, argv[0], name, &err);
    if (st == OK) st = store_push(s, &rq, &ev, digest, &err);
    progress_end(sc.bar);
    store_close(s);
    if (st == OK) printf("pushed %s to %s (%s)\n", name, argv[1], digest);
    return st == OK ? EXIT_OK : cli_fail(&err);
}

static const struct option options[] = {
    {"insecure", 0, OPTION_FLAG, NULL, "Allow plain http beyond this machine",
     offsetof(struct push_options, insecure), 0, 0},
    {"quiet", 0, OPTION_FLAG, NULL, "No progress", offsetof(struct push_options, quiet), 0, 0},
    {0},
};

const struct command cmd_push = {
    .name = "push",
    .summary = "Send an installed model to a registry",
    .usage = "push MODEL HOST/REPOSITORY[:TAG] [options]",
    .description = "To a registry of the OCI protocol, which Ollama's is too: file, template, "
                   "system message, parameters,\n"
                   "messages and licences as layers. What is there already is not sent again. "
                   "HEARTH_REGISTRY_TOKEN is\n"
                   "sent as a bearer token to that host alone.\n"
                   "\n"
                   "Examples:\n"
                   "  hearth push reviewer registry.example.org/team/reviewer:1\n",
    .options = options,
    .options_size = sizeof(struct push_options),
    .min_args = 2,
    .max_args = 2,
    .arg_metavar = "INSTALLED",
    .run = run,
};
