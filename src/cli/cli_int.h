/* What the framework's own files share; commands include cli.h only. */
#ifndef HEARTH_CLI_CLI_INT_H
#define HEARTH_CLI_CLI_INT_H

#include <stdio.h>

#include "cli/cli.h"

/* The command of that name, or NULL. */
const struct command *cli_command_find(const char *name);
/* The known command whose name is nearest to a mistyped one, or NULL where none is near. */
const struct command *cli_command_suggest(const char *name);
/* Says that there is no such command and what to type instead; returns EXIT_USAGE. */
int cli_no_command(const char *name);

/* Calls `visit` for every command in the order of the registry. */
void cli_command_each(void (*visit)(const struct command *cmd, void *ctx), void *ctx);

/* Number of single-character edits (insert, delete, replace, swap neighbours) between two names;
 * names longer than 63 bytes count as far away. */
size_t cli_edit_distance(const char *a, const char *b);

/* `hearth help` and `hearth help NAME`. Colour where `out` is a terminal that wants it. */
void cli_help_overview(FILE *out);
void cli_help_command(const struct command *cmd, FILE *out);
/* Everything help knows, as the source of a manual page. */
void cli_print_manual(FILE *out);

/* Columns of the terminal behind `fd`, else 80; never less than 40. */
int cli_columns(int fd);

#endif
