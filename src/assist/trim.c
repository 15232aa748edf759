#include "assist/trim.h"

#include <string.h>
#include <strings.h>

#include "assist/trim_int.h"

enum {
    SUBSTANTIAL = 6, /* word characters that make a line more than a common short one */
    RECENT = 16,     /* lines that the repetition rule remembers */
    MAX_CYCLE = 4,   /* lines in a repeated cycle */
    TIMES = 3,       /* a cycle may come this often, less one */
    STRAY_LINES = 1, /* lines past the first statement that may pass before the text below */
    MAX_PERIOD = 48, /* bytes in a repeated piece of a line */
    PIECE_TIMES = 6,
    PIECE_BYTES = 120,
    RULER_BYTES = 160, /* the same for "-----", of which RULER_KEEP may stay */
    RULER_KEEP = 78,
};

const char *trim_rule_name(enum trim_rule rule)
{
    static const char *const names[] = {
        [TRIM_NONE] = "none",
        [TRIM_LINE_END] = "line_end",
        [TRIM_SUFFIX_LINE] = "suffix_line",
        [TRIM_SUFFIX_OVERLAP] = "suffix_overlap",
        [TRIM_DEDENT] = "dedent",
        [TRIM_BLOCK_END] = "block_end",
        [TRIM_STATEMENT] = "statement",
        [TRIM_BLANK_LINES] = "blank_lines",
        [TRIM_REPEAT] = "repeat",
        [TRIM_BRACKETS] = "brackets",
        [TRIM_BAD_BYTES] = "bad_bytes",
        [TRIM_RUN_ON] = "run_on",
        [TRIM_SYNTAX] = "syntax",
    };
    return (size_t)rule < sizeof names / sizeof *names ? names[rule] : "none";
}

/* What a walk over the generated lines remembers. */
struct walk {
    const struct trim_hole *h;
    struct span text;
    bool final;
    size_t n_text; /* lines with text so far */
    size_t end;    /* after the last of them, without its line end */
    size_t blank_run;
    int floor;
    struct span recent[RECENT]; /* the last lines with text, n_text % RECENT is next */
    size_t starts[RECENT];
    int indents[RECENT];
    size_t statement_end; /* after the first statement; 0 = not reached */
    int first_indent;
    size_t stray;
    bool met; /* far: the line before was the text behind the hole */
    size_t met_at;
};

static struct trim_cut no_cut(size_t len)
{
    return (struct trim_cut){TRIM_NONE, 0, len};
}

static struct trim_cut cut(enum trim_rule rule, size_t keep)
{
    return (struct trim_cut){rule, 0, keep};
}

/* The line that the text's first line completes is the line below. */
static bool first_line_is_below(const struct trim_hole *h, struct span line)
{
    struct span below = span_strip(span_of(h->below, h->below_len));
    return h->line_blank && has_words(below, SUBSTANTIAL) && span_eq(span_strip(line), below);
}

static bool is_below(const struct walk *w, struct span line, size_t start)
{
    const struct trim_hole *h = w->h;
    if (!h->below || !h->rest_blank) return false;
    if (start == 0) return first_line_is_below(h, line);
    struct span below = span_of(h->below, h->below_len);
    if (!span_eq(span_strip(line), span_strip(below)))
        return line_indent(line) == h->below_indent && has_words(below, 2 * SUBSTANTIAL) &&
               span_nearly_eq(line, below);
    return line_indent(line) == h->below_indent || has_words(below, 2 * SUBSTANTIAL);
}

/* A line that leaves the block which the hole fills. A closing bracket that nothing below supplies
 * still belongs to it. */
static struct trim_cut leave_block(const struct walk *w, struct span line, size_t start)
{
    const struct trim_hole *h = w->h;
    struct span code = span_strip(line);
    size_t closers = 0;
    while (closers < code.len &&
           (is_closer(code.data[closers]) || (closers && code.data[closers] == ';')))
        closers++;
    bool supplied = !h->rest_blank;
    if (h->below && h->below_indent >= h->opener_indent) {
        struct span below = span_strip(span_of(h->below, h->below_len));
        supplied = supplied || is_closer(*below.data);
    }
    if (!closers || !h->opener_brace || supplied || line_indent(line) < h->opener_indent)
        return cut(TRIM_BLOCK_END, w->end);
    return cut(TRIM_BLOCK_END, start + (size_t)(code.data - line.data) + closers);
}

/* The end of the first of TIMES equal runs of 1..MAX_CYCLE lines that the newest line completes, or
 * 0. */
static size_t repeated_lines(const struct walk *w)
{
    for (size_t p = 1; p <= MAX_CYCLE; p++) {
        size_t need = p * TIMES;
        if (w->n_text < need || need > RECENT) continue;
        size_t i = 0;
        bool words = false;
        for (; i < need - p; i++) {
            size_t a = (w->n_text - 1 - i) % RECENT, b = (w->n_text - 1 - i - p) % RECENT;
            if (w->indents[a] != w->indents[b] ||
                !span_eq(span_strip(w->recent[a]), span_strip(w->recent[b])))
                break;
            words = words || has_words(w->recent[a], 2);
        }
        if (i < need - p || !words) continue;
        size_t last = (w->n_text - need + p - 1) % RECENT;
        return w->starts[last] + w->recent[last].len;
    }
    return 0;
}

/* Offset of the byte, before `limit`, that completes `need` bytes of period `p`; else line.len. */
static size_t find_period(struct span line, size_t p, size_t need, size_t limit)
{
    size_t run = 0;
    for (size_t i = p; i < line.len && i < limit; i++) {
        run = line.data[i] == line.data[i - p] ? run + 1 : 0;
        if (run + p >= need) return i;
    }
    return line.len;
}

/* Where a line turns into the same few bytes again and again: what may stay of it, or line.len.
 * One or two characters in a row are more often a ruler in a comment than a loop. */
static size_t repeated_piece(struct span line)
{
    size_t best = line.len, best_at = line.len;
    for (size_t p = 1; p <= MAX_PERIOD && p < line.len; p++) {
        size_t need = p <= 2 ? RULER_BYTES : p * PIECE_TIMES;
        if (need < PIECE_BYTES) need = PIECE_BYTES;
        size_t at = find_period(line, p, need, best_at);
        if (at >= best_at) continue;
        size_t from = at + 1 - need;
        struct span piece = span_of(line.data + from, need);
        if (p > 2 &&
            (find_period(piece, 1, need, need) < need || find_period(piece, 2, need, need) < need))
            continue;
        best_at = at;
        best = from + (p <= 2 ? RULER_KEEP : p);
    }
    return best;
}

/* Notes where the first statement ends: before the next line that is not indented more than it,
 * unless that closes its block. */
static void follow_statement(struct walk *w, struct span line, int indent)
{
    if (w->n_text == 0) {
        w->first_indent = indent;
        return;
    }
    struct span code = span_strip(line);
    if (w->statement_end) {
        w->stray++;
    } else if (indent <= w->first_indent && !is_closer(*code.data)) {
        w->statement_end = w->end;
        w->stray = 1;
    }
}

/* What chat models write when the code is done: fences, and comments that present something else. A
 * file that has such lines itself keeps them. */
static bool runs_on(const struct trim_hole *h, struct span line)
{
    static const char *const openings[] = {"test case", "example usage", "usage example",
                                           "example:",  "explanation",   "sample usage"};
    line = span_strip(line);
    if (span_starts(line, span_of("```", 3)))
        return !memmem(h->prefix, h->prefix_len, "```", 3) &&
               !memmem(h->suffix, h->suffix_len, "```", 3);
    size_t at = 0;
    while (at < line.len && at < 4 && strchr("#/-*;%", line.data[at])) at++;
    if (at == 0) return false;
    struct span words = span_strip(span_of(line.data + at, line.len - at));
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++) {
        size_t n = strlen(openings[i]);
        if (words.len >= n && strncasecmp(words.data, openings[i], n) == 0)
            return !memmem(h->prefix, h->prefix_len, words.data, n) &&
                   !memmem(h->suffix, h->suffix_len, words.data, n);
    }
    return false;
}

/* Where the rest of the cursor's line ends this line of the text, or line.len. */
static size_t find_rest_at_end(const struct trim_hole *h, struct span line)
{
    struct span all = span_rstrip(span_of(h->rest, h->rest_len)), rest = span_strip(all);
    struct span text = span_rstrip(line);
    if (!rest.len || !span_ends(text, rest)) return line.len;
    size_t at = text.len - rest.len, blanks = all.len - rest.len;
    while (at && blanks && text.data[at - 1] == all.data[blanks - 1]) {
        at--;
        blanks--;
    }
    return at;
}

/* The far look at a line: only what clearly lies outside ends the text. */
static struct trim_cut judge_far(struct walk *w, struct span line, size_t start, int indent)
{
    const struct trim_hole *h = w->h;
    enum trim_rule rule = h->rest_blank ? TRIM_SUFFIX_LINE : TRIM_SUFFIX_OVERLAP;
    struct span next = span_strip(span_of(h->next, h->next_len));
    if (w->met && (span_eq(span_strip(line), next) || span_nearly_eq(line, next)))
        return cut(rule, w->met_at);
    size_t rest = h->rest_blank ? line.len : find_rest_at_end(h, line);
    w->met = h->rest_blank ? is_below(w, line, start) : rest < line.len;
    if (w->met) w->met_at = h->rest_blank ? w->end : start + rest;
    if (w->met && !h->next) return cut(rule, w->met_at);
    if (start > 0 && indent < w->floor && indent < h->below_indent) return cut(TRIM_DEDENT, w->end);
    if (w->n_text >= TRIM_FAR_LINES) return cut(TRIM_STATEMENT, w->end);
    return no_cut(w->text.len);
}

/* The rules of a line that hold for the near look alone. */
static struct trim_cut judge_near(struct walk *w, struct span line, size_t start, int indent)
{
    const struct trim_hole *h = w->h;
    if (is_below(w, line, start)) return cut(TRIM_SUFFIX_LINE, w->end);
    if (start == 0) return no_cut(w->text.len);
    if (h->opener_indent >= 0 && indent <= h->opener_indent) return leave_block(w, line, start);
    if (indent < w->floor) return cut(TRIM_DEDENT, w->end);
    return no_cut(w->text.len);
}

/* One line with text; `start` is its offset. */
static struct trim_cut judge_line(struct walk *w, struct span line, size_t start, bool complete)
{
    const struct trim_hole *h = w->h;
    struct span whole = start == 0 && !h->line_blank ? span_of(h->line, h->line_len) : line;
    int indent = line_indent(whole);
    if (start == 0 && h->line_blank) indent += line_indent(span_of(h->line, h->line_len));
    size_t stop = start + line.len;
    if (complete && runs_on(h, line)) return cut(TRIM_RUN_ON, w->end);
    struct trim_cut c =
        h->far ? judge_far(w, line, start, indent) : judge_near(w, line, start, indent);
    if (c.rule != TRIM_NONE) return c;
    if (w->floor < 0) w->floor = indent;
    size_t piece = repeated_piece(line);
    if (piece < line.len) return cut(TRIM_REPEAT, start + piece);
    follow_statement(w, line, indent);
    w->recent[w->n_text % RECENT] = line;
    w->starts[w->n_text % RECENT] = start;
    w->indents[w->n_text % RECENT] = indent;
    w->n_text++;
    size_t first = repeated_lines(w);
    if (first) return cut(TRIM_REPEAT, first);
    w->end = stop;
    if (h->far) return no_cut(w->text.len);
    if (h->mode == TRIM_SINGLE && complete) return cut(TRIM_LINE_END, stop);
    if (h->one_statement && w->stray > STRAY_LINES) return cut(TRIM_STATEMENT, w->statement_end);
    return no_cut(w->text.len);
}

static struct trim_cut walk_lines(struct walk *w)
{
    const struct trim_hole *h = w->h;
    for (size_t start = 0; start < w->text.len;) {
        struct span line = span_line(w->text, start);
        bool complete = start + line.len < w->text.len;
        if (!complete && !w->final) {
            size_t piece = repeated_piece(line);
            return piece < line.len ? cut(TRIM_REPEAT, start + piece) : no_cut(w->text.len);
        }
        if (span_blank(line)) {
            if (complete && !h->rest_blank && h->mode == TRIM_SINGLE && !h->far)
                return cut(TRIM_LINE_END, start + line.len);
            w->blank_run += complete;
            if (w->n_text && w->blank_run >= 2) return cut(TRIM_BLANK_LINES, w->end);
        } else {
            struct trim_cut c = judge_line(w, line, start, complete);
            if (c.rule != TRIM_NONE) return c;
            w->blank_run = 0;
        }
        start += line.len + 1;
    }
    return no_cut(w->text.len);
}

static size_t count_blanks(struct span s)
{
    size_t n = 0;
    while (n < s.len && (s.data[n] == ' ' || s.data[n] == '\t')) n++;
    return n;
}

/* The rules that look at lines, in order; the first that fires decides. w->text is what is left
 * after the blanks in front; the result's offsets count from there. */
static struct trim_cut scan(struct walk *w, const struct trim_hole *h, const char *text, size_t len,
                            bool final)
{
    size_t valid = trim_utf8_prefix(text, len);
    struct span s = span_of(text, valid);
    size_t skip = h->has_blanks && h->mode != TRIM_RAW ? count_blanks(s) : 0;
    s = span_of(text + skip, valid - skip);
    *w = (struct walk){.h = h, .text = s, .final = final, .floor = h->floor};
    struct trim_cut c = h->mode == TRIM_RAW ? no_cut(s.len) : walk_lines(w);
    /* Up to three bytes may be the start of a character that is still coming. */
    if (c.rule == TRIM_NONE && len - valid > 3) c = cut(TRIM_BAD_BYTES, s.len);
    c.skip = skip;
    return c;
}

struct trim_cut trim_scan(const struct trim_hole *h, const char *text, size_t len)
{
    struct walk w;
    struct trim_cut c = scan(&w, h, text, len, false);
    c.keep += c.skip;
    return c;
}

static size_t strip_end(struct span s, bool lines)
{
    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t' ||
                     (lines && s.data[s.len - 1] == '\n')))
        s.len--;
    return s.len;
}

/* The rules for a whole text's end; `c` holds what the lines' rules left. */
static void finish_end(const struct trim_hole *h, struct span text, struct trim_cut *c)
{
    text.len = c->keep;
    if (h->rest_blank) {
        text.len = strip_end(text, true);
        c->keep = trim_closers(h, text);
        if (c->keep < text.len) c->rule = TRIM_BRACKETS;
        text.len = c->keep;
        c->keep = strip_end(text, true);
        return;
    }
    if (h->mode == TRIM_SINGLE && !h->far) {
        c->keep = trim_overlap(h, text, c->rule == TRIM_LINE_END);
        if (c->keep < text.len) c->rule = TRIM_SUFFIX_OVERLAP;
    }
    text.len = c->keep;
    if (*h->rest == ' ' || *h->rest == '\t') c->keep = strip_end(text, false);
}

struct trim_cut trim_finish(const struct trim_hole *h, const char *text, size_t len, bool ended)
{
    struct walk w;
    struct trim_cut c = scan(&w, h, text, len, true);
    if (h->mode != TRIM_RAW) {
        if (h->one_statement && !h->far && w.statement_end && w.statement_end < c.keep && !ended &&
            c.rule != TRIM_SUFFIX_LINE) {
            c.rule = TRIM_STATEMENT;
            c.keep = w.statement_end;
        }
        finish_end(h, w.text, &c);
    }
    c.keep += c.skip;
    return c;
}
