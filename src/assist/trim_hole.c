#include "assist/trim_int.h"

#include <string.h>

/* The last line with text in `before`, which ends at a line's end; false if there is none. */
static bool line_above(struct span before, struct span *out)
{
    while (before.len) {
        size_t end = before.len - (before.data[before.len - 1] == '\n');
        size_t start = end;
        while (start > 0 && before.data[start - 1] != '\n') start--;
        struct span line = span_of(before.data + start, end - start);
        if (!span_blank(line)) {
            *out = line;
            return true;
        }
        before.len = start;
    }
    return false;
}

static void find_below(struct trim_hole *h)
{
    struct span s = span_of(h->suffix, h->suffix_len);
    for (size_t at = h->rest_len + 1; at < s.len;) {
        struct span line = span_line(s, at);
        if (!span_blank(line)) {
            h->below = line.data;
            h->below_len = line.len;
            h->below_indent = line_indent(line);
            return;
        }
        at += line.len + 1;
    }
}

/* The cursor stands behind text, nothing but blanks follows on its line. */
static void resolve_line_end(struct trim_hole *h, struct span line)
{
    h->floor = line_indent(line);
    h->mode = TRIM_SINGLE;
    if (!line_opens(line) || h->below_indent > h->floor) return;
    h->mode = TRIM_MULTI;
    h->opener_indent = h->floor;
    h->opener_brace = is_opener(span_rstrip(line).data[span_rstrip(line).len - 1]);
}

static bool begins_function(struct span line)
{
    static const char *const words[] = {"def ",  "async def ", "class ", "fn ",
                                        "func ", "function ",  NULL};
    line = span_strip(line);
    for (size_t i = 0; words[i]; i++)
        if (span_starts(line, span_of(words[i], strlen(words[i])))) return true;
    /* The end of a head of several lines: "):" */
    return line.len > 1 && is_closer(*line.data) && line_opens(line);
}

/* The line that begins the function around the cursor, or the outermost block: one after the other
 * the lines above that are indented less. `indent`: the cursor's. */
static bool find_outer(struct span before, int indent, struct span *out)
{
    bool found = false;
    struct span line;
    while (indent > 0 && line_above(before, &line)) {
        before.len = (size_t)(line.data - before.data);
        if (line_indent(line) >= indent) continue;
        indent = line_indent(line);
        *out = line;
        found = true;
        if (begins_function(line)) break;
    }
    return found;
}

/* Nothing stands below: the hole reaches to the end of the function. */
static bool resolve_last(struct trim_hole *h, struct span line, struct span above)
{
    struct span outer, before = span_of(h->prefix, h->prefix_len - line.len);
    int indent = line.len ? h->floor : line_indent(above) + line_opens(above);
    if (!find_outer(before, indent, &outer)) return false;
    outer = span_rstrip(outer);
    h->opener_indent = line_indent(outer);
    h->opener_brace = is_opener(outer.data[outer.len - 1]);
    h->floor = h->opener_indent + 1;
    return true;
}

/* The cursor stands on a blank line. */
static void resolve_blank_line(struct trim_hole *h, struct span line)
{
    struct span above;
    bool has_above = line_above(span_of(h->prefix, h->prefix_len - line.len), &above);
    int above_indent = has_above ? line_indent(above) : 0;
    h->mode = TRIM_MULTI;
    if (line.len) h->floor = line_indent(line);
    /* An editor has indented the line; below an opener it may not have done enough. */
    h->has_blanks = line.len && !(has_above && line_opens(above) && h->floor <= above_indent);
    if (!h->below && has_above && resolve_last(h, line, above)) return;
    if (has_above && line_opens(above) && h->below_indent <= above_indent) {
        h->opener_indent = above_indent;
        struct span text = span_rstrip(above);
        h->opener_brace = is_opener(text.data[text.len - 1]);
        return;
    }
    if (!h->below) return;
    if (line.len && h->below_indent > h->floor) {
        h->mode = TRIM_SINGLE; /* what is missing opens the block below */
        return;
    }
    bool gap_below =
        h->below > h->suffix + h->rest_len + 1 && (size_t)(h->below - h->suffix) > h->rest_len + 1;
    bool top_level = (line.len ? h->floor == 0 : above_indent == 0) && h->below_indent == 0;
    h->one_statement = !(top_level && gap_below);
}

void trim_hole_init(struct trim_hole *h, const char *prefix, size_t prefix_len, const char *suffix,
                    size_t suffix_len, enum trim_mode mode)
{
    size_t start = prefix_len;
    while (start > 0 && prefix[start - 1] != '\n') start--;
    struct span line = span_of(prefix + start, prefix_len - start);
    struct span rest = span_line(span_of(suffix, suffix_len), 0);
    *h = (struct trim_hole){
        .prefix = prefix,
        .prefix_len = prefix_len,
        .suffix = suffix,
        .suffix_len = suffix_len,
        .line = line.data,
        .line_len = line.len,
        .line_blank = span_blank(line),
        .rest = rest.data,
        .rest_len = rest.len,
        .rest_blank = span_blank(rest),
        .below_indent = -1,
        .floor = -1,
        .opener_indent = -1,
    };
    find_below(h);
    struct span above;
    h->above_indent = -1;
    if (line_above(span_of(prefix, start), &above)) {
        h->above = above.data;
        h->above_len = above.len;
        h->above_indent = line_indent(above);
    }
    if (!h->rest_blank) {
        struct span text = span_rstrip(line), after = span_strip(rest);
        h->floor = line_indent(line);
        bool empty_braces = text.len && text.data[text.len - 1] == '{' && *after.data == '}';
        h->mode = empty_braces ? TRIM_MULTI : TRIM_SINGLE;
        if (empty_braces) {
            h->opener_indent = h->floor;
            h->opener_brace = true;
        }
    } else if (h->line_blank) {
        resolve_blank_line(h, line);
    } else {
        resolve_line_end(h, line);
    }
    if (!h->line_blank)
        h->has_blanks = line.data[line.len - 1] == ' ' || line.data[line.len - 1] == '\t';
    if (mode != TRIM_AUTO) {
        h->mode = mode;
        h->one_statement = false;
        h->one_line = mode == TRIM_SINGLE;
    }
}

void trim_look_far(const struct trim_hole *h, struct trim_hole *out)
{
    *out = *h;
    out->far = (h->below || !h->rest_blank) && h->mode != TRIM_RAW && !h->one_line;
    if (!out->far) return;
    if (!h->rest_blank) {
        out->next = h->below;
        out->next_len = h->below_len;
        return;
    }
    struct span s = span_of(h->suffix, h->suffix_len);
    for (size_t at = (size_t)(h->below - h->suffix) + h->below_len + 1; at < s.len && !out->next;) {
        struct span line = span_line(s, at);
        at += line.len + 1;
        if (span_blank(line)) continue;
        out->next = line.data;
        out->next_len = line.len;
    }
}
