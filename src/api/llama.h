/* What llama.cpp's endpoints share. */
#ifndef HEARTH_API_LLAMA_H
#define HEARTH_API_LLAMA_H

#include "api/job.h"

extern const struct job_format llama_format;
/* The members of /completion and /infill, but for the prompt. */
void llama_read(struct job *j, struct reader *rd);

enum { LLAMA_SLOTS = 64 }; /* that clients see */

/* Holds the model that `model` in the body, or in no body the default, names; NULL where it has
 * answered. */
struct loaded_model *llama_hold(struct call *c);

#endif
