/* hearth cp SOURCE DESTINATION */
#include <jansson.h>
#include <stdio.h>

#include "cli/cli.h"
#include "store/store.h"

static int run(const void *options, int argc, char **argv)
{
    struct error err = {0};
    struct store *s;
    struct store_model m = {0};
    char from[STORE_NAME_SIZE], to[STORE_NAME_SIZE];
    (void)options, (void)argc;
    enum status st = store_open(NULL, &s, &err);
    if (st != OK) return cli_fail(&err);
    st = store_resolve(s, argv[0], from, &err);
    if (st == OK) st = store_new_name(argv[1], to, &err);
    if (st == OK) st = store_find(s, from, &m, &err);
    if (st == OK) st = store_give_name(s, from, to, m.settings, NULL, NULL, &err);
    if (st == OK) printf("copied %s to %s\n", from, to);
    store_model_fini(&m);
    store_close(s);
    return st == OK ? EXIT_OK : cli_fail(&err);
}

const struct command cmd_cp = {
    .name = "cp",
    .summary = "Give an installed model a further name",
    .usage = "cp MODEL NAME",
    .description =
        "Both share one file and have the same settings; removing one leaves the other.\n"
        "\n"
        "Examples:\n"
        "  hearth cp qwen2.5-coder:1.5b coder\n",
    .options = (const struct option[]){{0}},
    .options_size = 1,
    .min_args = 2,
    .max_args = 2,
    .arg_metavar = "INSTALLED",
    .run = run,
};
