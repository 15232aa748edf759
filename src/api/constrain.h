/* Answers that have to match a grammar. */
#ifndef HEARTH_API_CONSTRAIN_H
#define HEARTH_API_CONSTRAIN_H

#include "api/job.h"

/* OpenAI's `response_format`: text, json_object, json_schema. */
void job_read_response_format(struct job *j, struct reader *rd);
/* Ollama's `format`: "", "json" or a schema. */
void job_read_format(struct job *j, struct reader *rd);
/* llama.cpp's `grammar` and `json_schema`. */
void job_read_grammar(struct job *j, struct reader *rd);
/* Any JSON object. */
void job_set_json(struct job *j, struct reader *rd);
/* A JSON schema for the whole answer. */
void job_set_schema(struct job *j, struct reader *rd, const json_t *schema);

#endif
