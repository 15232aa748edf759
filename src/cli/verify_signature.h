/* hearth verify MODEL|FILE|FOLDER --signature FILE. */
#ifndef HEARTH_CLI_VERIFY_SIGNATURE_H
#define HEARTH_CLI_VERIFY_SIGNATURE_H

#include <stdbool.h>

#include "cli/cli.h"

struct verify_signature_options {
    const char *signature;
    const struct string_list *keys; /* as people name them; none = the policy's */
    bool allow_symlinks, keep, json, quiet;
};
/* Prints and returns the exit code. */
int verify_signature_run(const struct verify_signature_options *o, const char *model);

#endif
