/* What is counted comes back, in each grouping; other files are left alone; threads may share one.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "stats/stats.h"

static char folder[64], file[96];

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/hearth_stats_XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(file, sizeof file, "%s/new/stats.sqlite", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const ends[] = {"", "-wal", "-shm"};
    char path[128];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", file, ends[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/new", folder);
    rmdir(path);
    return rmdir(folder);
}

static struct stats *open_stats(void)
{
    struct stats *s;
    struct error err = {0};
    if (stats_open(file, &s, &err) != OK) fail_msg("%s", err.msg);
    return s;
}

static int64_t show(struct stats *s, const char *language, const char *model, double ms,
                    size_t chars)
{
    int64_t id = 0;
    struct error err = {0};
    struct stats_shown what = {
        .language = language, .model = model, .latency_ms = ms, .chars = chars};
    if (stats_shown(s, &what, &id, &err) != OK) fail_msg("%s", err.msg);
    return id;
}

static struct stats_rows rows_of(struct stats *s, enum stats_by by, int days)
{
    struct stats_rows r;
    struct error err = {0};
    if (stats_read(s, by, days, &r, &err) != OK) fail_msg("%s", err.msg);
    return r;
}

static void nothing(void **state)
{
    (void)state;
    struct stats *s = open_stats();
    struct stats_rows r = rows_of(s, STATS_ALL, 0);
    assert_int_equal(r.n, 1);
    assert_int_equal(r.v[0].shown, 0);
    assert_true(r.v[0].p50_ms == 0);
    stats_rows_fini(&r);
    r = rows_of(s, STATS_BY_MODEL, 0);
    assert_int_equal(r.n, 0);
    stats_rows_fini(&r);
    stats_close(s);
    struct stat sb;
    assert_int_equal(stat(file, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0600);
}

static void figures(void **state)
{
    (void)state;
    struct stats *s = open_stats();
    int64_t a = show(s, "python", "m:1", 40, 10), b = show(s, "python", "m:1", 150, 20);
    int64_t c = show(s, "c", "m:2", 3000, 30), d = show(s, "python", "m:2", 90, 5);
    assert_true(a < b && b < c && c < d);
    assert_int_equal(stats_accepted(s, a, STATS_WORD, 3, NULL), OK);
    assert_int_equal(stats_accepted(s, a, STATS_LINE, 4, NULL), OK);
    assert_int_equal(stats_accepted(s, a, STATS_WORD, 1, NULL), OK);
    assert_int_equal(stats_kept(s, a, true, NULL), OK);
    assert_int_equal(stats_accepted(s, b, STATS_WHOLE, 20, NULL), OK);
    assert_int_equal(stats_kept(s, b, false, NULL), OK);
    assert_int_equal(stats_dismissed(s, c, NULL), OK);
    assert_int_equal(stats_accepted(s, d, STATS_WORD, 2, NULL), OK);
    assert_int_equal(stats_dismissed(s, d, NULL), OK); /* the rest of it */
    struct error err = {0};
    assert_int_equal(stats_accepted(s, 999, STATS_WORD, 2, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "999"));
    stats_close(s);

    s = open_stats(); /* another process, later */
    struct stats_rows r = rows_of(s, STATS_ALL, 1);
    const struct stats_row *all = &r.v[0];
    assert_int_equal(all->shown, 4);
    assert_int_equal(all->accepted, 3);
    assert_int_equal(all->whole, 1);
    assert_int_equal(all->line, 1);
    assert_int_equal(all->word, 1);
    assert_int_equal(all->dismissed, 1);
    assert_int_equal(all->kept, 1);
    assert_int_equal(all->kept_known, 2);
    assert_int_equal(all->chars_shown, 65);
    assert_int_equal(all->chars_saved, 8 + 2); /* b's were deleted again */
    assert_true(all->p50_ms == 90 && all->p95_ms == 3000);
    stats_rows_fini(&r);

    r = rows_of(s, STATS_BY_LANGUAGE, 0);
    assert_int_equal(r.n, 2);
    assert_string_equal(r.v[0].key, "python");
    assert_int_equal(r.v[0].shown, 3);
    assert_true(r.v[0].p95_ms == 150);
    assert_string_equal(r.v[1].key, "c");
    stats_rows_fini(&r);

    r = rows_of(s, STATS_BY_LATENCY, 0);
    static const char *const bands[] = {"0-50", "50-100", "100-200", "1600-"};
    assert_int_equal(r.n, 4);
    for (size_t i = 0; i < 4; i++) assert_string_equal(r.v[i].key, bands[i]);
    stats_rows_fini(&r);
    stats_close(s);
}

static void days(void **state)
{
    (void)state;
    struct stats *s = open_stats();
    int64_t id;
    struct stats_shown old = {.language = "go", .when = (double)time(NULL) - 86400 * 40};
    assert_int_equal(stats_shown(s, &old, &id, NULL), OK);
    struct stats_rows r = rows_of(s, STATS_BY_DAY, 0);
    assert_int_equal(r.n, 2);
    assert_int_equal(strlen(r.v[0].key), 10);
    assert_true(strcmp(r.v[0].key, r.v[1].key) < 0);
    stats_rows_fini(&r);
    r = rows_of(s, STATS_BY_DAY, 30);
    assert_int_equal(r.n, 1);
    stats_rows_fini(&r);
    assert_int_equal(stats_forget(s, NULL), OK);
    r = rows_of(s, STATS_BY_DAY, 0);
    assert_int_equal(r.n, 0);
    stats_rows_fini(&r);
    stats_close(s);
}

/* Names are cut, and what looks like SQL is a name. */
static void names(void **state)
{
    (void)state;
    struct stats *s = open_stats();
    char longer[300];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    show(s, "'); DROP TABLE shown; --", longer, 1, 1);
    show(s, NULL, NULL, 1, 1);
    struct stats_rows r = rows_of(s, STATS_BY_LANGUAGE, 0);
    assert_int_equal(r.n, 2);
    assert_string_equal(r.v[1].key, "'); DROP TABLE shown; --");
    stats_rows_fini(&r);
    r = rows_of(s, STATS_BY_MODEL, 0);
    assert_int_equal(strlen(r.v[1].key), STATS_NAME_SIZE - 1);
    stats_rows_fini(&r);
    assert_int_equal(stats_forget(s, NULL), OK);
    stats_close(s);
}

static void *many(void *ctx)
{
    for (int i = 0; i < 50; i++) {
        int64_t id;
        struct stats_shown what = {.language = "c", .latency_ms = i};
        if (stats_shown(ctx, &what, &id, NULL) != OK ||
            stats_accepted(ctx, id, STATS_WHOLE, 1, NULL) != OK)
            return ctx;
    }
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    struct stats *one = open_stats(), *two = open_stats(); /* as of two processes */
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, many, i % 2 ? one : two), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(t[i], &failed);
        assert_null(failed);
    }
    struct stats_rows r = rows_of(one, STATS_ALL, 0);
    assert_int_equal(r.v[0].shown, 200);
    assert_int_equal(r.v[0].whole, 200);
    stats_rows_fini(&r);
    stats_forget(one, NULL);
    stats_close(one);
    stats_close(two);
}

static void other_files(void **state)
{
    (void)state;
    char path[128];
    struct stats *s;
    struct error err = {0};
    snprintf(path, sizeof path, "%s/other", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < 2000; i++) fputs("no database ", f);
    fclose(f);
    assert_int_equal(stats_open(path, &s, &err), ERR_FORMAT);
    assert_null(s);
    unlink(path);
    assert_int_not_equal(stats_open("/proc/none/stats.sqlite", &s, &err), OK);
    assert_null(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing), cmocka_unit_test(figures), cmocka_unit_test(days),
        cmocka_unit_test(names),   cmocka_unit_test(threads), cmocka_unit_test(other_files),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
