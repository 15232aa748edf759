/* What becomes of the completions that an editor shows: counted on this machine, for its user.
 *
 * One SQLite file holds a row for each completion shown: when, language, model, how long it took,
 * how long it is, how much of it was accepted and how, whether it was still there 30 seconds later.
 * No text, no file names. Nothing is ever sent; no other module reads the file.
 *
 * What an editor's front end does:
 *   stats_shown when a completion becomes visible, and keep the id;
 *   stats_accepted for each word, line or all that the person takes, with the characters taken
 * then; stats_dismissed when it goes away with nothing taken: typed against, Escape, cursor moved;
 *   stats_kept 30 seconds (STATS_KEPT_SECONDS) after the last acceptance, with whether what was
 * taken is still in the text. All of these cost well under a millisecond (no wait for the disk: the
 * last moments before a power cut may be lost). Functions may be called from any thread; several
 * processes may share the file. */
#ifndef HEARTH_STATS_STATS_H
#define HEARTH_STATS_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { STATS_KEPT_SECONDS = 30, STATS_NAME_SIZE = 64, STATS_MAX_DAYS = 3650 };

struct stats;

/* Opens or creates the file (mode 0600) and its folder. ERR_IO; ERR_FORMAT where it is no file of
 * Hearth's, or of a newer version. */
enum status stats_open(const char *path, struct stats **out, struct error *err);
void stats_close(struct stats *s); /* NULL is fine */

struct stats_shown {
    const char *language; /* as the editor names it ("python"); NULL = "" */
    const char *model;    /* as installed ("qwen2.5-coder:1.5b"); NULL = "" */
    double latency_ms;    /* from the key to the text on the screen */
    bool cached;          /* served without asking the model */
    size_t chars, lines;  /* of the completion */
    double when;          /* seconds since 1970; 0 = now */
};

enum stats_part { STATS_WORD, STATS_LINE, STATS_WHOLE };

/* A completion became visible; *id names it from here on. */
enum status stats_shown(struct stats *s, const struct stats_shown *what, int64_t *id,
                        struct error *err);
/* `chars` more of it were taken. May be called several times; the largest part counts as how.
 * ERR_NOT_FOUND for an id that is not there (any more). */
enum status stats_accepted(struct stats *s, int64_t id, enum stats_part part, size_t chars,
                           struct error *err);
/* Of no effect on one that was accepted in part. */
enum status stats_dismissed(struct stats *s, int64_t id, struct error *err);
enum status stats_kept(struct stats *s, int64_t id, bool kept, struct error *err);

/* ---- reading ----------------------------------------------------------------------------------
 */

enum stats_by { STATS_ALL, STATS_BY_LANGUAGE, STATS_BY_MODEL, STATS_BY_DAY, STATS_BY_LATENCY };

struct stats_row {
    char key[STATS_NAME_SIZE]; /* language, model, "2026-11-25" (local time), "100-200"
                                  (milliseconds);
                                  "" for all */
    int64_t shown, accepted, whole, line, word; /* accepted = the other three together */
    int64_t dismissed;
    int64_t kept, kept_known; /* still there, of those that were looked at */
    int64_t cached;
    int64_t chars_shown, chars_saved; /* saved: accepted, and not known to be gone after 30 s */
    double p50_ms, p95_ms;            /* of the latency, nearest rank */
};

struct stats_rows {
    struct stats_row *v; /* owned */
    size_t n;
};
void stats_rows_fini(struct stats_rows *r);

/* The last `days` (0 = all), one row for each key: by day and by latency in their order, else the
 * most shown first. No rows where nothing was shown; STATS_ALL then has one of zeros. */
enum status stats_read(struct stats *s, enum stats_by by, int days, struct stats_rows *out,
                       struct error *err);

/* Deletes all rows and gives the space back. */
enum status stats_forget(struct stats *s, struct error *err);

#endif
