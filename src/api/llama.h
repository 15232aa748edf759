/* What llama.cpp's endpoints share. */
#ifndef HEARTH_API_LLAMA_H
#define HEARTH_API_LLAMA_H

#include "api/job.h"

extern const struct job_format llama_format;
/* The members of /completion and /infill, but for the prompt. */
void llama_read(struct job *j, struct reader *rd);

#endif
