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
};

/* Adds the prompt and the tokens that end a hole. False where it has answered the call: the model
 * has no tokens for holes (501), or the texts do not fit (400). */
bool job_add_fill(struct job *j, const struct fill *f);

#endif
