/* hearth help [COMMAND] */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/cli_int.h"

static int run(const void *options, int argc, char **argv)
{
    (void)options;
    if (argc == 0) {
        cli_help_overview(stdout);
        return EXIT_OK;
    }
    const struct command *cmd = cli_command_find(argv[0]);
    if (!cmd) {
        const struct command *near = cli_command_suggest(argv[0]);
        return near ? cli_usage_error(NULL, "no command '%s'; did you mean '%s'?", argv[0],
                                      near->name)
                    : cli_usage_error(NULL, "no command '%s'", argv[0]);
    }
    cli_help_command(cmd, stdout);
    return EXIT_OK;
}

const struct command cmd_help = {
    .name = "help",
    .summary = "Show what Hearth can do, or how one command works",
    .usage = "help [COMMAND]",
    .description = "Examples:\n"
                   "  hearth help\n"
                   "  hearth help complete\n",
    .max_args = 1,
    .arg_metavar = "COMMAND",
    .run = run,
};
