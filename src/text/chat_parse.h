/* What a model says, taken apart while it comes: text, reasoning, calls of tools.
 *
 * Every byte that is fed comes out in the `raw` part of exactly one event, in order, wherever the input
 * is cut. A parser is used by one thread at a time. */
#ifndef HEARTH_TEXT_CHAT_PARSE_H
#define HEARTH_TEXT_CHAT_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum chat_event_kind {
    CHAT_TEXT,
    CHAT_REASONING,
    CHAT_CALL_BEGIN,     /* text: the tool's name */
    CHAT_CALL_ARGUMENTS, /* text: the next piece of the arguments, which together are JSON */
    CHAT_CALL_END,       /* complete: whether the model ended the call */
    CHAT_MARKUP,         /* tags and white space that belong to no other event; text is empty */
};

struct chat_event {
    enum chat_event_kind kind;
    const char *text, *raw; /* valid during the callback */
    size_t text_len, raw_len;
    bool complete;
};

struct chat_parser;
struct chat_syntax;

/* The syntax that a model with this chat template uses; never NULL: "json" where none is known. */
const struct chat_syntax *chat_syntax_for(const char *template_source, size_t len);
const struct chat_syntax *chat_syntax_find(const char *name); /* or NULL */
const struct chat_syntax *chat_syntax_at(size_t i);           /* or NULL past the last */
const char *chat_syntax_name(const struct chat_syntax *s);

/* `tools`: whether calls are looked for, else only reasoning. `prompt`: the end of the rendered prompt,
 * which may have opened a reasoning block. `on_event` returns OK, or what ends the parsing. */
enum status chat_parser_create(const struct chat_syntax *syntax, bool tools, const char *prompt,
                               size_t prompt_len,
                               enum status (*on_event)(void *ctx, const struct chat_event *e), void *ctx,
                               struct chat_parser **out);
void chat_parser_destroy(struct chat_parser *p); /* NULL is fine */
/* ERR_NOMEM; ERR_LIMIT where a call's head is longer than a mebibyte; what on_event returned. */
enum status chat_parser_feed(struct chat_parser *p, const char *data, size_t len);
/* The text has ended: what was held back comes out. */
enum status chat_parser_end(struct chat_parser *p);

#endif
