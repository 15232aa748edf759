/* Holes in code, for the endpoints that fill them: OpenAI's and Ollama's `suffix`, llama.cpp's
 * /infill. */
#ifndef HEARTH_API_FILL_H
#define HEARTH_API_FILL_H

#include "api/job.h"
#include "assist/fim_files.h"

struct fill {
    const char *prefix, *suffix;
    size_t prefix_len, suffix_len;
    const char *file, *repo; /* or NULL */
    const struct fim_file *files;
    size_t n_files;
    bool raw;  /* the model's own answer from the cursor on, nothing cut */
    bool fast; /* the first answer, no others are compared */
    size_t n_found; /* of them, the first so many were found for the request: they go where not all fit */
    const char *own_file, *own_repo; /* file and repo without those, where n_found */
};

/* Hearth's own members of a request: `trim` (false: raw), `effort` ("best", "fast"). */
void fill_read(struct fill *f, struct reader *rd);

/* Adds the prompt and the tokens that end a hole. False where it has answered the call: the model
 * has no tokens for holes (501), or the texts do not fit (400). */
bool job_add_fill(struct job *j, const struct fill *f);

/* What belongs into the hole while a choice's text comes in and at its end: for job_text.c, where
 * j->hole is set. The rules are those of hearth complete (docs/completion.md). */
enum status fill_take(struct job *j, struct job_choice *ch, const char *text, size_t len);
enum status fill_end(struct job *j, struct job_choice *ch);
/* The answer's end, while the model still holds it: other answers are compared with it where that
 * was not excluded, as hearth complete does. `ended`: a token of the model's did it. Comes before
 * fill_end. */
enum status fill_choose(struct job *j, struct job_choice *ch, bool ended,
                        const struct branch_base *base, struct error *err);
/* Whether fill_choose has anything to do. */
bool fill_compares(const struct job *j);
/* Whether the part's choices are all full: there is nothing more to generate. */
bool fill_is_full(const struct job *j, const struct job_part *p);
void fill_hole_free(struct fill_hole *h); /* NULL is fine */

#endif
