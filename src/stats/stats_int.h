/* What the files of stats share. */
#ifndef HEARTH_STATS_STATS_INT_H
#define HEARTH_STATS_STATS_INT_H

#include <sqlite3.h>

#include "stats/stats.h"

struct stats {
    sqlite3 *db;
    char *path;
};

/* ERR_IO, ERR_BUSY or ERR_NOMEM with SQLite's own words. */
enum status stats_fail(const struct stats *s, struct error *err);

#endif
