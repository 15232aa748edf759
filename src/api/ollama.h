/* What Ollama's endpoints share. */
#ifndef HEARTH_API_OLLAMA_H
#define HEARTH_API_OLLAMA_H

#include "api/job.h"

/* RFC 3339, UTC. */
void ollama_time(int64_t when, char dst[40]);
/* `keep_alive` in seconds; NAN where it is absent, negative: for ever. */
double ollama_keep_alive(struct reader *rd);

#endif
