/* hearth help [COMMAND] */
#include <stddef.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/cli_int.h"

struct help_options {
    bool man;
};

static const struct option help_options[] = {
    {.name = "man",
     .kind = OPTION_FLAG,
     .help = "Print the manual page of the whole program, for man(1)",
     .offset = offsetof(struct help_options, man)},
    {0},
};

static int run(const void *options, int argc, char **argv)
{
    const struct help_options *o = options;
    if (o->man) {
        cli_print_manual(stdout);
        return EXIT_OK;
    }
    if (argc == 0) {
        cli_help_overview(stdout);
        return EXIT_OK;
    }
    const struct command *cmd = cli_command_find(argv[0]);
    if (!cmd) return cli_no_command(argv[0]);
    cli_help_command(cmd, stdout);
    return EXIT_OK;
}

const struct command cmd_help = {
    .name = "help",
    .summary = "Show what Hearth can do, or how one command works",
    .usage = "help [COMMAND]",
    .options = help_options,
    .options_size = sizeof(struct help_options),
    .description = "Examples:\n"
                   "  hearth help\n"
                   "  hearth help complete\n"
                   "  hearth help --man | man -l -\n",
    .max_args = 1,
    .arg_metavar = "COMMAND",
    .run = run,
};
