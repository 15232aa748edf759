/* Options from a file and from the environment, under those of the command line. */
#ifndef HEARTH_CLI_SERVE_CONFIG_H
#define HEARTH_CLI_SERVE_CONFIG_H

#include <stddef.h>

#include "base/buf.h"
#include "base/status.h"
#include "cli/cli.h"

/* Fills `options` of `cmd`: what the command line gave (differs from cmd->init's values) stays,
 * then the environment counts (HEARTH_SERVE_ and the option's name in capitals, '-' as '_'), then
 * the file: lines "name = value", '#' begins a comment, a flag's value is true or false, lists have
 * several lines. `path` NULL: no file. `text` (buf_init'ed) owns the strings afterwards. Errors
 * name the line or the variable. */
enum status serve_config_apply(const struct command *cmd, const char *path, void *options,
                               struct buf *text, struct error *err);

#endif
