#include "assist/fit.h"

#include <string.h>

#include "assist/trim_int.h"

enum { UNIT = 4 };

static struct span above_of(const struct trim_hole *h)
{
    return h->above ? span_of(h->above, h->above_len) : span_of("", 0);
}

static struct span below_of(const struct trim_hole *h)
{
    return h->below ? span_of(h->below, h->below_len) : span_of("", 0);
}

/* Without a comment at its end, as far as no quote stands in front of it. */
static struct span code_of(struct span line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.data[i] == '"' || line.data[i] == '\'') break;
        if (line.data[i] == '#') line.len = i;
    }
    return span_rstrip(line);
}

static bool opens_block(struct span line)
{
    line = code_of(line);
    return line.len && line.data[line.len - 1] == ':';
}

/* The statement goes on in the next line. */
static bool goes_on(struct span line)
{
    line = code_of(line);
    return line.len && strchr(",([{\\", line.data[line.len - 1]);
}

static bool starts_with_word(struct span line, const char *const *words)
{
    line = span_strip(line);
    for (; *words; words++) {
        size_t n = strlen(*words);
        if (span_starts(line, span_of(*words, n)) && (line.len == n || !is_word(line.data[n])))
            return true;
    }
    return false;
}

static const char *const jumps[] = {"return", "raise", "break", "continue", NULL};
static const char *const tails[] = {"else", "elif", "except", "finally", NULL};
static const char *const heads[] = {"if",     "elif", "for",   "while", "try",
                                    "except", "else", "async", NULL};

/* ---- languages ---------------------------------------------------------------------------------
 */

bool fit_by_indent(const struct trim_hole *h, const char *file_name)
{
    const char *dot = file_name ? strrchr(file_name, '.') : NULL;
    if (dot && !strchr(dot, '/'))
        return strcmp(dot, ".py") == 0 || strcmp(dot, ".pyi") == 0 || strcmp(dot, ".pyw") == 0;
    size_t colons = 0, others = 0;
    struct span all = span_of(h->prefix, h->prefix_len);
    for (size_t at = 0; at < all.len;) {
        struct span line = span_line(all, at);
        at += line.len + 1;
        struct span code = span_strip(line);
        if (!code.len) continue;
        char last = code.data[code.len - 1];
        colons += last == ':';
        others += last == ';' || last == '{';
    }
    return colons > others;
}

/* ---- indentation -------------------------------------------------------------------------------
 */

static size_t blanks_of(struct span line, char out[FIT_MAX_INDENT])
{
    size_t n = 0;
    while (n < line.len && n < FIT_MAX_INDENT && (line.data[n] == ' ' || line.data[n] == '\t')) {
        out[n] = line.data[n];
        n++;
    }
    return n;
}

/* Columns of one step, from the first indented line of the file that stands below an opener. */
static int unit_of(const struct trim_hole *h)
{
    struct span all = span_of(h->prefix, h->prefix_len);
    int before = -1;
    for (size_t at = 0; at < all.len;) {
        struct span line = span_line(all, at);
        at += line.len + 1;
        if (span_blank(line)) continue;
        int indent = line_indent(line);
        if (before >= 0 && indent > before) return indent - before;
        before = opens_block(line) || line_opens(line) ? indent : -1;
    }
    return UNIT;
}

static size_t deeper(size_t n, char out[FIT_MAX_INDENT], int unit, bool tabs)
{
    if (tabs) {
        if (n < FIT_MAX_INDENT) out[n++] = '\t';
        return n;
    }
    for (int i = 0; i < unit && n < FIT_MAX_INDENT; i++) out[n++] = ' ';
    return n;
}

/* The hole is all that stands between an opening brace and its closing one. */
static bool in_braces(const struct trim_hole *h)
{
    struct span above = span_rstrip(above_of(h)), below = span_strip(below_of(h));
    return above.len && above.data[above.len - 1] == '{' && below.len && *below.data == '}' &&
           h->below_indent == h->above_indent;
}

size_t fit_indent(const struct trim_hole *h, bool by_indent, char out[FIT_MAX_INDENT])
{
    if (!h->line_blank || h->line_len || !h->above) return 0;
    struct span above = above_of(h), below = below_of(h);
    int unit = unit_of(h);
    if (!by_indent && !in_braces(h)) return 0;
    if (by_indent && goes_on(above)) return 0;
    bool tabs = (above.len && *above.data == '\t') || (below.len && *below.data == '\t');
    if (!by_indent) return deeper(blanks_of(above, out), out, unit, tabs);
    if (opens_block(above)) {
        if (h->below && h->below_indent > h->above_indent &&
            h->below_indent - h->above_indent <= (tabs ? 8 : unit))
            return blanks_of(below, out);
        return deeper(blanks_of(above, out), out, unit, tabs);
    }
    if (!h->below || h->below_indent <= h->above_indent || !h->rest_blank) return 0;
    size_t n = blanks_of(below, out), less = tabs ? 1 : (size_t)unit;
    n = n > less ? n - less : 0;
    char most[FIT_MAX_INDENT]; /* no block was opened: the line above is as deep as can be */
    size_t n_most = blanks_of(above, most);
    return n < n_most ? n : blanks_of(above, out);
}

/* ---- the rules ---------------------------------------------------------------------------------
 */

/* Whether the nearest line of `text` that is indented no more than `indent` begins something that
 * an else can belong to. */
static bool has_head(struct span text, int indent, bool *found)
{
    *found = false;
    while (text.len) {
        size_t end = text.len - (text.data[text.len - 1] == '\n'), start = end;
        while (start > 0 && text.data[start - 1] != '\n') start--;
        struct span line = span_of(text.data + start, end - start);
        text.len = start;
        if (span_blank(line) || line_indent(line) > indent) continue;
        *found = true;
        return line_indent(line) == indent && starts_with_word(line, heads);
    }
    return false;
}

struct lines {
    struct span first, last;
    int first_indent, last_indent;
    size_t n; /* with text */
};

/* Lines of code: where indentation makes the blocks, comments are none. */
static struct lines lines_of(const struct trim_hole *h, bool by_indent, struct span text)
{
    struct lines l = {.n = 0};
    for (size_t at = 0; at < text.len;) {
        struct span line = span_line(text, at);
        int indent = line_indent(line);
        if (at == 0 && h->line_blank) indent += line_indent(span_of(h->line, h->line_len));
        if (at == 0 && !h->line_blank) indent = line_indent(span_of(h->line, h->line_len));
        at += line.len + 1;
        if (span_blank(by_indent && h->line_blank ? code_of(line) : line)) continue;
        if (l.n++ == 0) {
            l.first = line;
            l.first_indent = indent;
        }
        l.last = line;
        l.last_indent = indent;
    }
    return l;
}

static unsigned judge_blocks(const struct trim_hole *h, const struct lines *l, struct span text)
{
    unsigned m = 0;
    struct span above = above_of(h), below = below_of(h);
    if (h->line_blank && h->above && !goes_on(above)) {
        if (opens_block(above) ? l->first_indent <= h->above_indent
                               : l->first_indent > h->above_indent)
            m |= FIT_INDENT;
        if (starts_with_word(l->first, tails)) {
            bool found;
            if (!has_head(span_of(h->prefix, h->prefix_len), l->first_indent, &found))
                m |= FIT_HEAD;
        }
    }
    if (!h->below || !h->rest_blank || goes_on(l->last)) return m;
    if (opens_block(l->last) ? h->below_indent <= l->last_indent : h->below_indent > l->last_indent)
        m |= FIT_BODY;
    bool tail = starts_with_word(below, tails);
    if (starts_with_word(l->last, jumps) && h->below_indent == l->last_indent && !tail)
        m |= FIT_DEAD;
    if (tail && h->line_blank) {
        bool found;
        bool head = has_head(text, h->below_indent, &found);
        if (!found) head = has_head(span_of(h->prefix, h->prefix_len), h->below_indent, &found);
        if (!head) m |= FIT_HEAD;
    }
    return m;
}

unsigned fit_misfits(const struct trim_hole *h, bool by_indent, const char *data, size_t len)
{
    struct span text = span_of(data, len);
    struct lines l = lines_of(h, by_indent, text);
    if (!l.n) return h->rest_blank ? FIT_EMPTY : 0;
    unsigned m = by_indent ? judge_blocks(h, &l, text) : 0;
    struct span below = span_strip(below_of(h)), above = span_strip(above_of(h));
    bool whole_lines = h->line_blank && h->rest_blank;
    if (whole_lines && below.len && has_words(below, 4) && span_eq(span_strip(l.last), below))
        m |= FIT_REPEATS;
    if (whole_lines && above.len && has_words(above, 4) && span_eq(span_strip(l.first), above))
        m |= FIT_REPEATS;
    if (by_indent && whole_lines && !goes_on(above_of(h))) {
        struct brackets b = brackets_count(text);
        bool closes = below.len && is_closer(*below.data);
        if (b.unmatched_close || (b.unmatched_open && !closes)) m |= FIT_BRACKETS;
    }
    return m;
}
