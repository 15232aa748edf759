/* JSON of a call, read before it is whole. */
#ifndef HEARTH_TEXT_CHAT_JSON_INT_H
#define HEARTH_TEXT_CHAT_JSON_INT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "text/tokenizer.h"

/* Where a value ends, byte by byte. */
struct chat_json {
    unsigned depth;
    bool begun, in_string, escaped;
};
void chat_json_init(struct chat_json *j);
/* How many bytes of `s` belong to the value; *done when it has ended. */
size_t chat_json_scan(struct chat_json *j, const char *s, size_t n, bool *done);
/* How many bytes belong to an object that is open `*depth` levels deep; *done at its last brace. */
size_t chat_json_tail(struct chat_json *j, unsigned *depth, const char *s, size_t n, bool *done);

enum chat_json_result { CHAT_JSON_MORE, CHAT_JSON_BAD, CHAT_JSON_DONE };

/* {"name": NAME, "arguments": ..., or the other way round, perhaps inside "function": {...}. */
struct chat_json_head {
    struct text_str name, buffered; /* buffered: arguments that came in front of the name */
    bool has_arguments;
    bool streams;   /* the arguments begin behind `used` */
    size_t used;
    unsigned depth; /* of braces open behind the arguments; 0: the object has ended */
};
/* MORE: the input ends too early. BAD: no JSON, or an object without a name. */
enum chat_json_result chat_json_head(const char *s, size_t n, struct chat_json_head *out);

/* Appends ', "key": value' ('{' in front of the first): a value that is JSON as it is, else as a text,
 * without the line breaks next to its tags. */
enum status chat_json_member(struct buf *out, bool first, struct text_str key, struct text_str value);

#endif
