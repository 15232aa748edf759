#include "index/tidy.h"

#include "base/clock.h"

enum { STEP_PAGES = 64 };

/* One step; *more: it found something to do (by the manual, two changes or more tell). */
static enum status merge_step(const struct db *db, const char *table, int pages, bool *more, struct error *err)
{
    char text[160];
    sqlite3_snprintf(sizeof text, text, "INSERT INTO %s(%s, rank) VALUES('merge', %d)", table, table, pages);
    sqlite3_int64 before = sqlite3_total_changes64(db->sql);
    enum status st = db_exec(db, text, err);
    *more = sqlite3_total_changes64(db->sql) - before >= 2;
    return st;
}

enum status tidy_merge(const struct db *db, bool all, double seconds, const volatile int *cancel, bool *done,
                       struct error *err)
{
    static const char *const tables[] = {"fts", "pieces"};
    double until = clock_now() + seconds;
    *done = false;
    for (int i = 0; i < 2; i++) {
        bool more = true;
        /* A negative number begins to merge all; positive ones go on. */
        for (int pages = all ? -STEP_PAGES : STEP_PAGES; more; pages = STEP_PAGES) {
            if (clock_now() > until || (cancel && *cancel)) return OK;
            enum status st = merge_step(db, tables[i], pages, &more, err);
            if (st) return st;
        }
    }
    *done = true;
    return OK;
}
