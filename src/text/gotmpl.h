/* Go's text/template, as Ollama's models carry it: all of the language but calls of methods, with
 * Ollama's functions json, currentDate, yesterdayDate and toTypeScriptType.
 *
 * Templates come from strangers. One can compute and write text, and nothing else; how much of it
 * is limited, and past a limit rendering ends with an error.
 *
 * Language: https://pkg.go.dev/text/template (1.24). What templates see: Ollama's
 * template/template.go. */
#ifndef HEARTH_TEXT_GOTMPL_H
#define HEARTH_TEXT_GOTMPL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

struct gotmpl; /* immutable: any thread may render it */

/* A zero means the default, which grows with the size of the conversation. */
struct gotmpl_limits {
    uint64_t steps; /* evaluations and loop rounds, plus bytes copied / 32; 400,000 + 64 per byte */
    size_t memory;  /* bytes allocated while rendering; 24 MiB + 24 per byte */
    size_t output;  /* bytes written; 4 MiB + 8 per byte */
};

struct gotmpl_options {
    struct gotmpl_limits limits;
    int64_t now; /* seconds since 1970 that currentDate takes for the present; 0 = the clock's */
    struct buf *marks; /* as in struct jinja_options: 1 for each byte that is no literal of the
                          template; or NULL */
};

/* Copies the source. ERR_FORMAT tells the line and what was expected; ERR_LIMIT for a source of
 * more than a mebibyte or one that nests too deeply. */
enum status gotmpl_compile(const char *source, size_t len, struct gotmpl **out, struct error *err);
void gotmpl_destroy(struct gotmpl *t); /* NULL is fine */

/* Whether the source has a field or a variable of this name, such as "Tools". */
bool gotmpl_uses(const struct gotmpl *t, const char *name);

/* Appends the prompt of a conversation in the form of chat_render's `request`: with .System,
 * .Messages, .Tools and the like where the template has .Messages, else as rounds of .System,
 * .Prompt and .Response. "enable_thinking" and "reasoning_effort" become .Think, .ThinkLevel and
 * .IsThinkSet. ERR_INVALID: an error in Go, in Go's words where there are some; ERR_LIMIT names the
 * limit. On failure `out` and the marks are unchanged. */
enum status gotmpl_render_chat(const struct gotmpl *t, const json_t *request,
                               const struct gotmpl_options *opt, struct buf *out,
                               struct error *err);
/* The same with any JSON object for the data, whose objects are Go's map[string]any. */
enum status gotmpl_render(const struct gotmpl *t, const json_t *data,
                          const struct gotmpl_options *opt, struct buf *out, struct error *err);

#endif
