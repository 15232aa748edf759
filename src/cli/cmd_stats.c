/* hearth stats: what became of the completions that editors showed. */
#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "stats/stats.h"
#include "store/store.h"

enum { BAR = 30, N_TABLES = 5 };

struct stats_options {
    int64_t days;
    bool json, forget;
};

extern const struct command cmd_stats;

static const struct option options[] = {
    {"days", 'd', OPTION_INT, "N", "Only the last N days (default 30)",
     offsetof(struct stats_options, days), 1, STATS_MAX_DAYS},
    {"json", 0, OPTION_FLAG, NULL, "Print the figures as JSON",
     offsetof(struct stats_options, json), 0, 0},
    {"forget", 0, OPTION_FLAG, NULL, "Delete all that was counted",
     offsetof(struct stats_options, forget), 0, 0},
    {0},
};

static void init(void *p)
{
    ((struct stats_options *)p)->days = 30;
}

static const struct {
    enum stats_by by;
    const char *title, *key, *json;
} tables[N_TABLES] = {
    {STATS_ALL, NULL, "", "all"},
    {STATS_BY_LANGUAGE, "By language", "language", "by_language"},
    {STATS_BY_MODEL, "By model", "model", "by_model"},
    {STATS_BY_LATENCY, "By time until shown", "ms", "by_latency"},
    {STATS_BY_DAY, "By day", "day", "by_day"},
};

static double share(int64_t k, int64_t n)
{
    return n ? (double)k / (double)n : 0;
}

/* A bar of eighths of characters, or of '#' where the terminal has none. */
static void print_bar(double value, double most)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    int n = most > 0 ? (int)lround(8 * BAR * value / most) : 0;
    if (!cli_utf8()) {
        for (int i = 0; i < (n + 4) / 8; i++) putchar('#');
        return;
    }
    for (int i = 0; i < n / 8; i++) fputs("█", stdout);
    fputs(eighths[n % 8], stdout);
}

static void print_all(const struct stats_row *r, int64_t days)
{
    printf("Completions shown in the last %lld days: %lld\n\n", (long long)days,
           (long long)r->shown);
    printf("  accepted          %5.1f %%   %lld whole, %lld by lines, %lld by words\n",
           100 * share(r->accepted, r->shown), (long long)r->whole, (long long)r->line,
           (long long)r->word);
    printf("  kept after %d s   %5.1f %%   of %lld accepted that were looked at\n",
           STATS_KEPT_SECONDS, 100 * share(r->kept, r->kept_known), (long long)r->kept_known);
    printf("  dismissed         %5.1f %%\n", 100 * share(r->dismissed, r->shown));
    printf("  from the cache    %5.1f %%\n", 100 * share(r->cached, r->shown));
    printf("  characters saved  %lld of %lld shown\n", (long long)r->chars_saved,
           (long long)r->chars_shown);
    printf("  until shown       %.0f ms half of the time, %.0f ms in 95 of 100\n", r->p50_ms,
           r->p95_ms);
}

static void print_table(const struct stats_rows *rows, const char *title, const char *key)
{
    printf("\n%s\n  %-24s %7s %9s %8s %8s %8s  accepted\n", title, key, "shown", "accepted",
           "saved", "p50 ms", "p95 ms");
    for (size_t i = 0; i < rows->n; i++) {
        const struct stats_row *r = &rows->v[i];
        printf("  %-24.24s %7lld %7.1f %% %8lld %8.0f %8.0f  ", *r->key ? r->key : "-",
               (long long)r->shown, 100 * share(r->accepted, r->shown), (long long)r->chars_saved,
               r->p50_ms, r->p95_ms);
        print_bar(share(r->accepted, r->shown), 1);
        putchar('\n');
    }
}

static json_t *row_json(const struct stats_row *r)
{
    return json_pack("{s:s, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f}",
                     "key", r->key, "shown", (json_int_t)r->shown, "accepted",
                     (json_int_t)r->accepted, "acceptance_rate", share(r->accepted, r->shown),
                     "accepted_whole", (json_int_t)r->whole, "accepted_line", (json_int_t)r->line,
                     "accepted_word", (json_int_t)r->word, "dismissed", (json_int_t)r->dismissed,
                     "kept", (json_int_t)r->kept, "kept_known", (json_int_t)r->kept_known, "cached",
                     (json_int_t)r->cached, "chars_shown", (json_int_t)r->chars_shown,
                     "chars_saved", (json_int_t)r->chars_saved, "latency_p50_ms",
                     cli_round(r->p50_ms), "latency_p95_ms", cli_round(r->p95_ms));
}

static enum status print(struct stats *s, const struct stats_options *o, struct error *err)
{
    json_t *root = o->json ? json_pack("{s:I}", "days", (json_int_t)o->days) : NULL;
    enum status st = OK;
    bool more = true;
    for (int t = 0; t < N_TABLES && st == OK && more; t++) {
        struct stats_rows rows;
        st = stats_read(s, tables[t].by, (int)o->days, &rows, err);
        if (st) break;
        if (o->json) {
            json_t *list = json_array();
            for (size_t i = 0; i < rows.n; i++) json_array_append_new(list, row_json(&rows.v[i]));
            if (tables[t].by == STATS_ALL)
                json_object_set(root, tables[t].json, json_array_get(list, 0));
            else
                json_object_set(root, tables[t].json, list);
            json_decref(list);
        } else if (tables[t].by == STATS_ALL) {
            print_all(&rows.v[0], o->days);
            more = rows.v[0].shown > 0;
        } else {
            print_table(&rows, tables[t].title, tables[t].key);
        }
        stats_rows_fini(&rows);
    }
    if (st == OK && o->json)
        return cli_print_json(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6), err);
    json_decref(root);
    return st;
}

static enum status find_file(char **path, struct error *err)
{
    struct store *store = NULL;
    enum status st = store_open(NULL, &store, err);
    if (st == OK && asprintf(path, "%s/stats.sqlite", store_root(store)) < 0)
        st = error_set(err, ERR_NOMEM, "out of memory");
    store_close(store);
    return st;
}

static int run(const void *p, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct stats_options *o = p;
    struct error err = {0};
    struct stats *s = NULL;
    char *path = NULL;
    enum status st = find_file(&path, &err);
    if (st == OK && !file_exists(path)) {
        fprintf(stderr, "Nothing has been counted yet: completions that an editor shows through "
                        "`hearth lsp` are.\n");
        if (!o->json) {
            free(path);
            return EXIT_OK;
        }
    }
    if (st == OK) st = stats_open(path, &s, &err);
    if (st == OK) st = o->forget ? stats_forget(s, &err) : print(s, o, &err);
    stats_close(s);
    free(path);
    return st == OK ? EXIT_OK : cli_fail(&err);
}

const struct command cmd_stats = {
    .name = "stats",
    .summary = "Show how many completions were accepted, and how fast they came",
    .usage = "stats [options]",
    .description = "Editors count, through Hearth, the completions that they show: when, language, "
                   "model, how long\n"
                   "it took, how many characters, how much was accepted, and whether it was still "
                   "there 30 seconds\n"
                   "later. No code and no file names; the figures stay in stats.sqlite in Hearth's "
                   "folder and are\n"
                   "never sent. This prints them: share accepted, characters saved (those accepted "
                   "and not deleted\n"
                   "again), times, by language, model, time and day.\n"
                   "\n"
                   "Examples:\n"
                   "  hearth stats\n"
                   "  hearth stats --days 7 --json\n"
                   "  hearth stats --forget\n",
    .options = options,
    .options_size = sizeof(struct stats_options),
    .init = init,
    .max_args = 0,
    .run = run,
};
