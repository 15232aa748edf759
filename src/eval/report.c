#include "eval/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/figures.h"

static size_t kinds_of(const struct eval_results *r, const char *kinds[EVAL_MAX_KINDS])
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        size_t k = 0;
        while (k < n && strcmp(kinds[k], r->v[i].kind) != 0) k++;
        if (k == n && n < EVAL_MAX_KINDS) kinds[n++] = r->v[i].kind;
    }
    return n;
}

static void count(const struct eval_result *r, struct eval_summary *s)
{
    s->failed += r->error != NULL;
    for (int c = 0; c < EVAL_N_CUTS; c++) {
        struct eval_row *row = &s->rows[c];
        row->n++;
        row->tested += r->tested;
        row->passed += r->scores[c].passed;
        row->exact += r->scores[c].exact;
        row->timed_out += r->scores[c].timed_out;
        row->edit += r->scores[c].edit;
    }
}

static void summarize_kind(const struct eval_results *r, double *first, double *total,
                           struct eval_summary *s)
{
    size_t n_first = 0, n_total = 0, n_tokens = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct eval_result *one = &r->v[i];
        if (strcmp(one->kind, s->kind) != 0) continue;
        count(one, s);
        if (one->error) continue;
        total[n_total++] = one->total_ms;
        if (one->first_ms > 0) first[n_first++] = one->first_ms;
        if (one->tokens >= 0) {
            s->tokens += (double)one->tokens;
            n_tokens++;
        }
    }
    for (int c = 0; c < EVAL_N_CUTS; c++)
        if (s->rows[c].n) s->rows[c].edit /= (double)s->rows[c].n;
    if (n_tokens) s->tokens /= (double)n_tokens;
    s->first_p50 = figure_percentile(first, n_first, 0.5);
    s->first_p95 = figure_percentile(first, n_first, 0.95);
    s->total_p50 = figure_percentile(total, n_total, 0.5);
    s->total_p95 = figure_percentile(total, n_total, 0.95);
}

enum status eval_summarize(const struct eval_results *r, struct eval_summary *out, size_t *n,
                           struct error *err)
{
    const char *kinds[EVAL_MAX_KINDS];
    double *first = calloc(r->n + 1, sizeof *first), *total = calloc(r->n + 1, sizeof *total);
    *n = 0;
    if (first && total) {
        *n = kinds_of(r, kinds);
        for (size_t k = 0; k < *n; k++) {
            out[k] = (struct eval_summary){.kind = kinds[k]};
            summarize_kind(r, first, total, &out[k]);
        }
    }
    bool good = first && total;
    free(first);
    free(total);
    return good ? OK : error_set(err, ERR_NOMEM, "out of memory");
}

static double percent(size_t k, size_t n)
{
    return n ? 100 * (double)k / (double)n : 0;
}

/* "45.1 % (42.1-48.2)", or blanks where nothing was tested. */
static void share(size_t k, size_t n, char *dst, size_t cap)
{
    double low, high;
    figure_interval(k, n, &low, &high);
    if (n)
        snprintf(dst, cap, "%5.1f %% (%.1f-%.1f)", percent(k, n), 100 * low, 100 * high);
    else
        snprintf(dst, cap, "    -");
}

enum status eval_report_text(const struct eval_results *r, bool all_cuts, struct buf *out,
                             struct error *err)
{
    struct eval_summary sums[EVAL_MAX_KINDS];
    size_t n;
    enum status st = eval_summarize(r, sums, &n, err);
    if (st) return st;
    st = buf_printf(out, "%-12s %-14s %5s  %-21s %7s %7s\n", "kind", "cut", "holes",
                    "pass@1 (95 %)", "exact", "edit");
    for (size_t k = 0; k < n && st == OK; k++) {
        for (int c = 0; c < (all_cuts ? EVAL_N_CUTS : 1) && st == OK; c++) {
            const struct eval_row *row = &sums[k].rows[c];
            char pass[48];
            share(row->passed, row->tested, pass, sizeof pass);
            st =
                buf_printf(out, "%-12s %-14s %5zu  %-21s %5.1f %% %7.3f\n", c ? "" : sums[k].kind,
                           eval_cuts[c].name, row->n, pass, percent(row->exact, row->n), row->edit);
        }
    }
    if (st == OK)
        st = buf_printf(out, "\n%-12s %8s  %17s  %17s  %8s %8s\n", "", "tokens", "first text, ms",
                        "whole answer, ms", "failed", "hung");
    if (st == OK)
        st = buf_printf(out, "%-12s %8s  %8s %8s  %8s %8s\n", "kind", "mean", "p50", "p95", "p50",
                        "p95");
    for (size_t k = 0; k < n && st == OK; k++)
        st = buf_printf(out, "%-12s %8.1f  %8.0f %8.0f  %8.0f %8.0f  %8zu %8zu\n", sums[k].kind,
                        sums[k].tokens, sums[k].first_p50, sums[k].first_p95, sums[k].total_p50,
                        sums[k].total_p95, sums[k].failed, sums[k].rows[EVAL_CUT_NONE].timed_out);
    return st ? error_set(err, st, "no memory for the report") : OK;
}

static json_t *row_json(const struct eval_row *row)
{
    double low, high;
    figure_interval(row->passed, row->tested, &low, &high);
    json_t *o = json_pack("{s:I, s:f, s:f}", "holes", (json_int_t)row->n, "exact",
                          percent(row->exact, row->n) / 100, "edit_similarity", row->edit);
    if (o && row->tested)
        json_object_update_new(o, json_pack("{s:f, s:[f,f], s:I}", "pass_at_1",
                                            (double)row->passed / (double)row->tested,
                                            "pass_at_1_interval", low, high, "timed_out",
                                            (json_int_t)row->timed_out));
    return o;
}

json_t *eval_report_json(const struct eval_results *r, struct error *err)
{
    struct eval_summary sums[EVAL_MAX_KINDS];
    size_t n;
    if (eval_summarize(r, sums, &n, err) != OK) return NULL;
    json_t *kinds = json_object();
    for (size_t k = 0; k < n; k++) {
        const struct eval_summary *s = &sums[k];
        json_t *cuts = json_object();
        for (int c = 0; c < EVAL_N_CUTS; c++)
            json_object_set_new(cuts, eval_cuts[c].name, row_json(&s->rows[c]));
        json_object_set_new(kinds, s->kind,
                            json_pack("{s:o, s:I, s:f, s:{s:f, s:f}, s:{s:f, s:f}}", "cuts", cuts,
                                      "failed", (json_int_t)s->failed, "mean_tokens", s->tokens,
                                      "first_ms", "p50", s->first_p50, "p95", s->first_p95,
                                      "total_ms", "p50", s->total_p50, "p95", s->total_p95));
    }
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:I, s:o}", "benchmark", r->head.bench, "target",
                  r->head.target ? r->head.target : "", "model", r->head.model ? r->head.model : "",
                  "seed", (json_int_t)r->head.seed, "kinds", kinds);
    if (!o) error_set(err, ERR_NOMEM, "out of memory");
    return o;
}

/* ---- comparing --------------------------------------------------------------------------------
 */

struct eval_difference eval_compare(const struct eval_results *a, int cut_a,
                                    const struct eval_results *b, int cut_b, const char *kind)
{
    struct eval_difference d = {0};
    double sum = 0, squares = 0;
    for (size_t i = 0; i < a->n; i++) {
        const struct eval_result *one = &a->v[i];
        if (!one->tested || strcmp(one->kind, kind) != 0) continue;
        const struct eval_result *two = eval_results_find(b, one->id);
        if (!two || !two->tested) continue;
        double x = (double)one->scores[cut_a].passed - (double)two->scores[cut_b].passed;
        sum += x;
        squares += x * x;
        d.n++;
    }
    if (d.n == 0) return d;
    double n = (double)d.n;
    d.mean = sum / n;
    double variance = d.n > 1 ? (squares - n * d.mean * d.mean) / (n - 1) : 0;
    double half = 1.959963984540054 * sqrt((variance > 0 ? variance : 0) / n);
    d.low = d.mean - half;
    d.high = d.mean + half;
    return d;
}

enum status eval_compare_text(const struct eval_results *files, const char *const *names, size_t n,
                              struct buf *out, struct error *err)
{
    struct eval_summary sums[EVAL_MAX_KINDS];
    const char *kinds[EVAL_MAX_KINDS];
    size_t n_kinds = n ? kinds_of(&files[0], kinds) : 0;
    enum status st =
        buf_printf(out, "%-12s %-28s %-14s %5s  %-21s %7s  %s\n", "kind", "results", "cut", "holes",
                   "pass@1 (95 %)", "exact", "first one minus this, points (95 %)");
    for (size_t k = 0; k < n_kinds && st == OK; k++) {
        for (size_t f = 0; f < n && st == OK; f++) {
            size_t m, at = 0;
            st = eval_summarize(&files[f], sums, &m, err);
            if (st) return st;
            while (at < m && strcmp(sums[at].kind, kinds[k]) != 0) at++;
            for (int c = 0; at < m && c < (f ? EVAL_N_CUTS : 1) && st == OK; c++) {
                const struct eval_row *row = &sums[at].rows[c];
                struct eval_difference d =
                    eval_compare(&files[0], EVAL_CUT_NONE, &files[f], c, kinds[k]);
                char pass[48], diff[64] = "";
                share(row->passed, row->tested, pass, sizeof pass);
                if (f && d.n)
                    snprintf(diff, sizeof diff, "%+.1f (%+.1f to %+.1f), %zu holes", 100 * d.mean,
                             100 * d.low, 100 * d.high, d.n);
                st = buf_printf(out, "%-12s %-28.28s %-14s %5zu  %-21s %5.1f %%  %s\n",
                                f || c ? "" : kinds[k], c ? "" : names[f], eval_cuts[c].name,
                                row->n, pass, percent(row->exact, row->n), diff);
            }
        }
    }
    return st ? error_set(err, st, "no memory for the report") : OK;
}
