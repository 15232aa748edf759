/* Figures of what was counted. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stats/stats_int.h"

enum { MAX_ROWS = 100000 };

/* Keys as SQL. Bands of latency double; the first digit keeps them in order and is cut off again.
 */
static const char *const keys[] = {
    [STATS_ALL] = "''",
    [STATS_BY_LANGUAGE] = "language",
    [STATS_BY_MODEL] = "model",
    [STATS_BY_DAY] = "date(at, 'unixepoch', 'localtime')",
    [STATS_BY_LATENCY] =
        "CASE WHEN latency_ms < 50 THEN '0:0-50' WHEN latency_ms < 100 THEN '1:50-100'"
        " WHEN latency_ms < 200 THEN '2:100-200' WHEN latency_ms < 400 THEN '3:200-400'"
        " WHEN latency_ms < 800 THEN '4:400-800' WHEN latency_ms < 1600 THEN '5:800-1600'"
        " ELSE '6:1600-' END",
};

static const char *order_of(enum stats_by by)
{
    return by == STATS_BY_DAY || by == STATS_BY_LATENCY ? "k" : "count(*) DESC, k";
}

void stats_rows_fini(struct stats_rows *r)
{
    free(r->v);
    *r = (struct stats_rows){0};
}

static void take(sqlite3_stmt *q, enum stats_by by, struct stats_row *r)
{
    int64_t *const fields[] = {&r->shown,       &r->whole,      &r->line,       &r->word,
                               &r->dismissed,   &r->kept,       &r->kept_known, &r->cached,
                               &r->chars_shown, &r->chars_saved};
    const char *key = (const char *)sqlite3_column_text(q, 0);
    if (!key) key = "";
    if (by == STATS_BY_LATENCY && *key) key += 2;
    size_t len = strnlen(key, sizeof r->key - 1);
    memcpy(r->key, key, len);
    r->key[len] = 0;
    for (int i = 0; i < 10; i++) *fields[i] = sqlite3_column_int64(q, i + 1);
    r->accepted = r->whole + r->line + r->word;
}

static enum status add(struct stats_rows *out, const struct stats_row *row, struct error *err)
{
    if ((out->n & (out->n - 1)) == 0) { /* full at powers of two */
        struct stats_row *v =
            out->n < MAX_ROWS ? reallocarray(out->v, out->n ? out->n * 2 : 1, sizeof *v) : NULL;
        if (!v) return error_set(err, ERR_NOMEM, "no memory for %zu rows", out->n + 1);
        out->v = v;
    }
    out->v[out->n++] = *row;
    return OK;
}

/* Rank of a percentile among n, from 1 (nearest rank: Hyndman and Fan's first definition). */
static int64_t rank(double share, int64_t n)
{
    int64_t r = (int64_t)ceil(share * (double)n);
    return r < 1 ? 1 : r;
}

static enum status one_percentile(struct stats *s, enum stats_by by, double from, const char *key,
                                  int64_t at, double *out, struct error *err)
{
    char sql[1024];
    sqlite3_stmt *q = NULL;
    snprintf(
        sql, sizeof sql,
        "SELECT latency_ms FROM shown WHERE at >= ?1 AND (%s) = ?2 ORDER BY latency_ms LIMIT 1 "
        "OFFSET ?3",
        keys[by]);
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK) return stats_fail(s, err);
    sqlite3_bind_double(q, 1, from);
    sqlite3_bind_text(q, 2, key, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(q, 3, at - 1);
    int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) *out = sqlite3_column_double(q, 0);
    enum status st = rc == SQLITE_ROW || rc == SQLITE_DONE ? OK : stats_fail(s, err);
    sqlite3_finalize(q);
    return st;
}

static enum status read_rows(struct stats *s, enum stats_by by, double from, sqlite3_stmt *q,
                             struct stats_rows *out, struct error *err)
{
    enum status st = OK;
    int rc;
    sqlite3_bind_double(q, 1, from);
    while (st == OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        struct stats_row row = {0};
        take(q, by, &row);
        const char *key = (const char *)sqlite3_column_text(q, 0);
        if (row.shown)
            st =
                one_percentile(s, by, from, key ? key : "", rank(0.5, row.shown), &row.p50_ms, err);
        if (st == OK && row.shown)
            st = one_percentile(s, by, from, key ? key : "", rank(0.95, row.shown), &row.p95_ms,
                                err);
        if (st == OK) st = add(out, &row, err);
    }
    return st == OK && rc != SQLITE_DONE ? stats_fail(s, err) : st;
}

enum status stats_read(struct stats *s, enum stats_by by, int days, struct stats_rows *out,
                       struct error *err)
{
    char sql[2048];
    sqlite3_stmt *q = NULL;
    *out = (struct stats_rows){0};
    snprintf(
        sql, sizeof sql,
        "SELECT %s AS k, count(*), coalesce(sum(part IS %d), 0), coalesce(sum(part IS %d), 0),"
        " coalesce(sum(part IS %d), 0), coalesce(sum(dismissed), 0), coalesce(sum(kept IS 1), 0),"
        " count(kept), coalesce(sum(cached), 0), coalesce(sum(chars), 0),"
        " coalesce(sum(CASE WHEN kept IS 0 THEN 0 ELSE accepted_chars END), 0)"
        " FROM shown WHERE at >= ?1 %s ORDER BY %s",
        keys[by], STATS_WHOLE, STATS_LINE, STATS_WORD, by == STATS_ALL ? "" : "GROUP BY k",
        order_of(by));
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK) return stats_fail(s, err);
    double from = days > 0 ? (double)time(NULL) - 86400.0 * days : -1e300;
    enum status st = read_rows(s, by, from, q, out, err);
    sqlite3_finalize(q);
    if (st) stats_rows_fini(out);
    return st;
}
