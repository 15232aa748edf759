/* Progress on standard error. On a terminal one line redraws itself at most ten times a second;
 * elsewhere a plain line appears about every three seconds, so that a log stays readable. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/cli_int.h"

#define REDRAW_SECONDS 0.1
#define PLAIN_SECONDS  3.0
#define RATE_SECONDS   6.0 /* the rate shown is the mean over about this long: parts come in bursts */

struct progress {
    char *label;
    bool bytes, terminal, utf8, color;
    bool drawn;             /* something was printed, so the line wants an end */
    double started, last_print;
    uint64_t first, done, total; /* first: where a resumed job began */
    bool seen;              /* an update has arrived */
    double rate_at;         /* start of the current measuring window */
    uint64_t rate_done;
    double rate;            /* units per second; 0 = not known yet */
};

struct progress *progress_start(const char *label, bool bytes)
{
    struct progress *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->label = strdup(label);
    if (!p->label) {
        free(p);
        return NULL;
    }
    const char *term = getenv("TERM");
    p->bytes = bytes;
    p->terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    p->utf8 = cli_utf8();
    p->color = cli_color(STDERR_FILENO);
    p->started = clock_now();
    p->last_print = p->terminal ? 0 : p->started;
    return p;
}

static void measure_rate(struct progress *p, double now)
{
    double dt = now - p->rate_at;
    if (dt < 0.5) return;
    double current = p->done > p->rate_done ? (double)(p->done - p->rate_done) / dt : 0;
    double weight = dt / (dt + RATE_SECONDS);
    p->rate = p->rate > 0 ? p->rate + weight * (current - p->rate) : current;
    p->rate_at = now;
    p->rate_done = p->done;
}

static const char *format_amount(const struct progress *p, uint64_t n, char *dst, size_t cap)
{
    if (p->bytes) return cli_format_bytes(n, dst, cap);
    snprintf(dst, cap, "%llu", (unsigned long long)n);
    return dst;
}

static void format_seconds(double seconds, char *dst, size_t cap)
{
    if (seconds > 359999) seconds = 359999; /* 99:59:59 */
    unsigned s = (unsigned)(seconds + 0.5);
    if (s >= 3600)
        snprintf(dst, cap, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(dst, cap, "%u:%02u", s / 60, s % 60);
}

/* Appends to a fixed line; what does not fit is dropped. */
static void add(char *line, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void add(char *line, size_t cap, const char *fmt, ...)
{
    size_t len = strlen(line);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line + len, cap - len, fmt, ap);
    va_end(ap);
}

/* "412 MB of 986 MB, 12.3 MB/s, 0:46 left" */
static void format_figures(const struct progress *p, char *line, size_t cap)
{
    char done[32], total[32], rate[32], left[32];
    line[0] = 0;
    add(line, cap, "%s", format_amount(p, p->done, done, sizeof done));
    if (p->total) add(line, cap, " of %s", format_amount(p, p->total, total, sizeof total));
    if (p->rate > 0)
        add(line, cap, ", %s/s", format_amount(p, (uint64_t)p->rate, rate, sizeof rate));
    if (p->rate > 0 && p->total > p->done) {
        format_seconds((double)(p->total - p->done) / p->rate, left, sizeof left);
        add(line, cap, ", %s left", left);
    }
}

static unsigned percent(const struct progress *p)
{
    if (p->done >= p->total) return 100;
    unsigned v = (unsigned)((double)p->done / (double)p->total * 100);
    return v > 99 ? 99 : v;
}

static void draw_bar(const struct progress *p, int width)
{
    int full = (int)((double)width * (double)p->done / (double)p->total);
    if (full > width) full = width;
    fputs(p->color ? "\033[32m" : "", stderr);
    for (int i = 0; i < full; i++) fputs(p->utf8 ? "━" : "#", stderr);
    fputs(p->color ? "\033[90m" : "", stderr);
    for (int i = full; i < width; i++) fputs(p->utf8 && p->color ? "━" : p->utf8 ? "─" : "-", stderr);
    fputs(p->color ? "\033[0m" : "", stderr);
}

static void draw_terminal(struct progress *p)
{
    char figures[160];
    format_figures(p, figures, sizeof figures);
    int room = cli_columns(STDERR_FILENO) - 1;
    int label = (int)strlen(p->label), rest = (int)strlen(figures);
    int bar = room - label - rest - 8; /* two spaces twice, "100%" */
    fputs("\r\033[K", stderr);
    if (p->total && bar >= 8) {
        fprintf(stderr, "%s  ", p->label);
        draw_bar(p, bar > 30 ? 30 : bar);
        fprintf(stderr, " %3u%%  %s", percent(p), figures);
    } else if (label + 2 + rest <= room) {
        fprintf(stderr, "%s  %s", p->label, figures);
    } else {
        fprintf(stderr, "%.*s", room, figures);
    }
    fflush(stderr);
    p->drawn = true;
}

static void print_plain(struct progress *p)
{
    char figures[160];
    format_figures(p, figures, sizeof figures);
    if (p->total)
        fprintf(stderr, "%s: %u%%, %s\n", p->label, percent(p), figures);
    else
        fprintf(stderr, "%s: %s\n", p->label, figures);
    p->drawn = true;
}

void progress_update(struct progress *p, uint64_t done, uint64_t total)
{
    if (!p) return;
    double now = clock_now();
    p->done = done;
    p->total = total;
    if (!p->seen) {
        p->seen = true;
        p->first = p->rate_done = done;
        p->rate_at = now;
    }
    measure_rate(p, now);
    if (now - p->last_print < (p->terminal ? REDRAW_SECONDS : PLAIN_SECONDS)) return;
    p->last_print = now;
    if (p->terminal)
        draw_terminal(p);
    else
        print_plain(p);
}

void progress_end(struct progress *p)
{
    if (!p) return;
    if (p->seen) {
        /* The last line shows the whole job: its mean rate, and no time left. */
        double seconds = clock_now() - p->started;
        if (seconds > 0.05 && p->done > p->first)
            p->rate = (double)(p->done - p->first) / seconds;
        bool complete = p->total && p->done >= p->total;
        if (p->terminal) {
            draw_terminal(p);
            fputc('\n', stderr);
        } else if (p->drawn || !complete || seconds >= 1) {
            print_plain(p);
        }
    }
    free(p->label);
    free(p);
}
