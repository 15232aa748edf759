/* A conversation as the text that a model was trained to continue, through the chat template that its
 * file carries. */
#ifndef HEARTH_TEXT_CHAT_H
#define HEARTH_TEXT_CHAT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/status.h"
#include "text/tokenizer.h"

struct chat;
struct chat_syntax;

struct chat_source {
    struct text_str plain;         /* tokenizer.chat_template, or empty */
    struct text_str with_tools;    /* tokenizer.chat_template.tool_use, or empty */
    struct text_str go;            /* a Go template to use instead of both, or empty */
    const struct tokenizer *vocab; /* for bos_token, eos_token, and which built-in template fits; or NULL */
    const char *architecture;      /* or NULL */
};

/* Sets the one of the three that a text with no known language is: Jinja where it has one of its statements, else a
 * Go template. Borrows it. */
void chat_source_set(struct chat_source *src, const char *text, size_t len);

/* Copies what it needs but the vocabulary, which is borrowed. A file without a template gets the built-in
 * one of the family whose tokens its vocabulary has. ERR_FORMAT, ERR_LIMIT: the template is at fault. */
enum status chat_create(const struct chat_source *src, struct chat **out, struct error *err);
void chat_destroy(struct chat *c); /* NULL is fine */

/* Appends the prompt. `request` is an object: "messages" as OpenAI has them (content may be text, null or
 * a list of text parts; arguments of calls text or object), and what else the template may ask for:
 * "tools", "add_generation_prompt" (default true), "documents", "enable_thinking", ... The template gets
 * the variant of it that it understands. `marks`, where not NULL, gets a byte for each byte of the prompt:
 * 1 where it comes from the request, 0 where it is the template's own. ERR_INVALID: no messages, or the
 * template refused them, in its words. Encode the result with its marks (tokenizer_encode_marked), so that
 * the control tokens in it are the template's and no words of a message. Any thread. */
enum status chat_render(const struct chat *c, const json_t *request, struct buf *out, struct buf *marks,
                        struct error *err);

const struct chat_syntax *chat_syntax_of(const struct chat *c);
/* The name of the built-in template in use ("chatml", ...), or NULL: the file has its own. */
const char *chat_fallback(const struct chat *c);
/* Whether the template looks at this variable: "tools", "enable_thinking", ... */
bool chat_uses(const struct chat *c, const char *variable);
/* A text that ends the answer besides the end tokens, or NULL. */
const char *chat_stop(const struct chat *c);

#endif
