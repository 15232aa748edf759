/* The table of what commands need, and what all of them do. */
#ifndef HEARTH_CLI_CONFINED_INT_H
#define HEARTH_CLI_CONFINED_INT_H

#include "cli/confined.h"

enum { CONFINED_MAX_WRITTEN = 3 };

struct confined_row {
    const char *command;
    unsigned needs;
    const char *written[CONFINED_MAX_WRITTEN]; /* options whose files are written */
};

/* NULL: the command reads nothing that others made, or has no walls (docs/security.md says why). */
const struct confined_row *confined_row_find(const char *command);

/* Calls `allow` for what the C library and the others read of the system. */
void confined_system(unsigned needs, void (*allow)(const char *path, enum confine_access access));
/* Makes a file, with SQLite's companions where it is a database, or a folder ("name/"), and calls
 * `allow` for each. */
void confined_own_file(char *path, void (*allow)(const char *path, enum confine_access access));

#endif
