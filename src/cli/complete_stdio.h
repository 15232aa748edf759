/* hearth complete --stdio: requests and answers as lines of JSON. */
#ifndef HEARTH_CLI_COMPLETE_STDIO_H
#define HEARTH_CLI_COMPLETE_STDIO_H

#include "cli/complete_context.h"

/* Answers requests from standard input on standard output until the input ends; docs/completion.md
 * describes both. `defaults` holds what a request does not say; its texts and callbacks are not
 * used. `force`: complete files that by their name hold keys, too. `keep`: sessions are kept on
 * disk for the files that requests name. `context`: of the project, or zeroed. Errors of requests are answers; what is returned is that
 * of standard output. */
enum status complete_stdio(struct completer *c, const struct complete_request *defaults, bool force,
                           bool keep, struct complete_context *context, struct error *err);

#endif
