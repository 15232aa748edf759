#include "api/constrain.h"

#include <string.h>

static void refuse(struct reader *rd, const char *key)
{
    if (!rd->err.code)
        error_set(&rd->err, ERR_UNSUPPORTED,
                  "'%s' asks for structured output, which is not implemented", key);
}

void job_set_schema(struct job *j, struct reader *rd, const json_t *schema)
{
    (void)j;
    (void)schema;
    refuse(rd, "json_schema");
}

void job_set_json(struct job *j, struct reader *rd)
{
    (void)j;
    refuse(rd, "json_object");
}

void job_read_response_format(struct job *j, struct reader *rd)
{
    (void)j;
    const json_t *f = read_object(rd, "response_format");
    if (!f) return;
    const char *type = json_string_value(json_object_get(f, "type"));
    if (!type)
        read_fail(rd, "'response_format' has no type");
    else if (strcmp(type, "text") != 0)
        refuse(rd, "response_format");
}

void job_read_format(struct job *j, struct reader *rd)
{
    (void)j;
    const json_t *f = read_any(rd, "format");
    if (f && (!json_is_string(f) || json_string_length(f))) refuse(rd, "format");
}

void job_read_grammar(struct job *j, struct reader *rd)
{
    (void)j;
    const json_t *g = read_any(rd, "grammar"), *s = read_any(rd, "json_schema");
    if (g && json_string_length(g)) refuse(rd, "grammar");
    if (s) refuse(rd, "json_schema");
}
