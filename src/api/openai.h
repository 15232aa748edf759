/* What OpenAI's endpoints share. */
#ifndef HEARTH_API_OPENAI_H
#define HEARTH_API_OPENAI_H

#include "api/job.h"

json_t *openai_usage(const struct job *j);
/* `stream` and `stream_options`; whether usage is asked for at a stream's end. */
bool openai_read_stream(struct job *j, struct reader *rd);
/* A number of tokens under this key; -1 = no limit of the request's. */
void openai_read_max(struct job *j, struct reader *rd, const char *key);

#endif
