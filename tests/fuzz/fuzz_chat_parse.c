/* What a model says, in every family's syntax: whole or cut anywhere, every byte comes out in order
 * in `raw`, and the events, joined, are the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "text/chat_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    struct buf raw, events; /* events: a kind's byte, then its text; pieces of one kind joined */
    int last;
    size_t open, n;
};

static enum status on_event(void *ctx, const struct chat_event *e)
{
    struct seen *s = ctx;
    enum status st = buf_append(&s->raw, e->raw, e->raw_len);
    bool piece =
        e->kind == CHAT_TEXT || e->kind == CHAT_REASONING || e->kind == CHAT_CALL_ARGUMENTS;
    if (e->kind == CHAT_CALL_BEGIN) s->open++;
    if (e->kind == CHAT_CALL_ARGUMENTS && !s->open) abort();
    if (e->kind == CHAT_CALL_END && s->open-- == 0) abort();
    if (e->kind == CHAT_MARKUP || (piece && e->text_len == 0)) return st;
    char kind = (char)('0' + e->kind);
    if (st == OK && !(piece && s->last == e->kind)) st = buf_append(&s->events, &kind, 1);
    s->last = e->kind;
    return st == OK ? buf_append(&s->events, e->text, e->text_len) : st;
}

static enum status parse(const struct chat_syntax *syntax, bool tools, const uint8_t *data,
                         size_t size, size_t step, struct seen *s)
{
    memset(s, 0, sizeof *s);
    s->last = -1;
    buf_init(&s->raw, 1 << 24);
    buf_init(&s->events, 1 << 24);
    struct chat_parser *p;
    enum status st = chat_parser_create(syntax, tools, "", 0, on_event, s, &p);
    if (st != OK) return st;
    for (size_t at = 0; st == OK && at < size; at += step) {
        size_t n = size - at < step ? size - at : step;
        char *copy = malloc(n); /* of its own size: a read past its end is seen */
        if (!copy) abort();
        memcpy(copy, data + at, n);
        st = chat_parser_feed(p, copy, n);
        free(copy);
    }
    if (st == OK) st = chat_parser_end(p);
    chat_parser_destroy(p);
    if (st == OK && (s->raw.len != size || (size && memcmp(s->raw.data, data, size) != 0))) abort();
    if (st == OK && s->open) abort();
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > 16384) return 0;
    size_t n_syntax = 0;
    while (chat_syntax_at(n_syntax)) n_syntax++;
    const struct chat_syntax *syntax = chat_syntax_at(data[0] % n_syntax);
    bool tools = data[0] & 0x80 ? false : true;
    size_t step = 1 + data[1] % 32;
    struct seen one, two;
    enum status a = parse(syntax, tools, data + 2, size - 2, size, &one);
    enum status b = parse(syntax, tools, data + 2, size - 2, step, &two);
    if (a != b) abort();
    if (a == OK &&
        (one.events.len != two.events.len ||
         (one.events.len && memcmp(one.events.data, two.events.data, one.events.len) != 0)))
        abort();
    buf_fini(&one.raw);
    buf_fini(&one.events);
    buf_fini(&two.raw);
    buf_fini(&two.events);
    return 0;
}
