#include "cli/complete_show.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "assist/cursor.h"
#include "base/buf.h"
#include "cli/cli.h"
#include "cli/complete_json.h"
#include "cli/load.h"

enum { SHOWN_LINES = 12 };

/* Start of the line `n` lines above the one at `at`. */
static size_t lines_up(const char *text, size_t at, int n)
{
    while (at > 0 && text[at - 1] != '\n') at--;
    for (; n > 0 && at > 0; n--) {
        at--;
        while (at > 0 && text[at - 1] != '\n') at--;
    }
    return at;
}

/* End of the line `n` lines below the one at `at`, its line end included. */
static size_t lines_down(const char *text, size_t len, size_t at, int n)
{
    for (; n >= 0 && at < len; n--) {
        const char *end = memchr(text + at, '\n', len - at);
        at = end ? (size_t)(end - text) + 1 : len;
    }
    return at;
}

struct painter {
    bool color;
    bool inserted; /* painting the completion */
    bool marked;   /* some of this line is new */
    uint64_t line;
    struct buf body; /* of the line so far */
    struct buf out;
};

static enum status paint_line(struct painter *p)
{
    const char *mark = p->marked ? "+" : " ";
    enum status st =
        p->color ? buf_printf(&p->out, "\033[2m%5llu %s\033[0m ", (unsigned long long)p->line, mark)
                 : buf_printf(&p->out, "%5llu %s ", (unsigned long long)p->line, mark);
    if (!st) st = buf_append(&p->out, p->body.data ? p->body.data : "", p->body.len);
    if (!st && p->color && p->inserted) st = buf_append_str(&p->out, "\033[0m");
    if (!st) st = buf_append_str(&p->out, "\n");
    buf_clear(&p->body);
    if (!st && p->color && p->inserted) st = buf_append_str(&p->body, "\033[1;32m");
    p->marked = p->inserted;
    p->line++;
    return st;
}

/* Control characters in the file must not reach the terminal. */
static enum status paint(struct painter *p, const char *text, size_t len)
{
    enum status st = OK;
    for (size_t i = 0; i < len && !st; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\n')
            st = paint_line(p);
        else if (c == '\r' && i + 1 < len && text[i + 1] == '\n')
            continue;
        else if ((c < 0x20 && c != '\t') || c == 0x7F)
            st = buf_append_str(&p->body, "?");
        else
            st = buf_append(&p->body, text + i, 1);
    }
    return st;
}

static enum status set_inserted(struct painter *p, bool on)
{
    p->inserted = on;
    if (on) p->marked = true;
    return p->color ? buf_append_str(&p->body, on ? "\033[1;32m" : "\033[0m") : OK;
}

enum status complete_show(const struct complete_shown *d, const struct complete_result *r,
                          struct error *err)
{
    size_t from = lines_up(d->text, d->prefix_len, SHOWN_LINES);
    size_t to = lines_down(d->text, d->len, d->suffix_start, SHOWN_LINES);
    struct painter p = {.color = cli_color(STDOUT_FILENO)};
    uint64_t column;
    size_t max =
        32 * (d->len + r->len) + 65536; /* every line may be empty but for its number and colours */
    cursor_locate(d->text, from, &p.line, &column);
    buf_init(&p.body, max);
    buf_init(&p.out, max);
    enum status st = paint(&p, d->text + from, d->prefix_len - from);
    if (!st && r->len) st = set_inserted(&p, true);
    if (!st) st = paint(&p, r->text, r->len);
    if (!st && r->len) st = set_inserted(&p, false);
    if (!st) st = paint(&p, d->text + d->suffix_start, to - d->suffix_start);
    if (!st && p.body.len) st = paint_line(&p);
    if (!st)
        st = buf_printf(&p.out, "%s%s%s: %zu tokens, first after %.0f ms, then %.1f tokens/s%s\n",
                        p.color ? "\033[2m" : "", d->name, r->len ? "" : ": no completion",
                        r->completion_tokens, r->first_token_ms, complete_decode_rate(r),
                        p.color ? "\033[0m" : "");
    if (st)
        st = error_set(err, st, "no memory for the text around the completion");
    else
        st = cli_write(p.out.data, p.out.len, err);
    buf_fini(&p.body);
    buf_fini(&p.out);
    return st;
}
