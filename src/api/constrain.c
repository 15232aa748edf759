#include "api/constrain.h"

#include <stdlib.h>
#include <string.h>

#include "infer/engine.h"
#include "text/grammar.h"

/* ---- masks for the scheduler ------------------------------------------------------------------
 */

static enum status mask_create(void *ctx, size_t sample, void **state, struct error *err)
{
    (void)sample;
    const struct job *j = ctx;
    struct grammar_state *s = NULL;
    enum status st = grammar_state_create(j->grammar, &s, err);
    if (st == OK && j->lead.len) st = grammar_accept_bytes(s, j->lead.data, j->lead.len, err);
    if (st != OK) {
        grammar_state_destroy(s);
        s = NULL;
    }
    *state = s;
    return st;
}

static void mask_destroy(void *state)
{
    grammar_state_destroy(state);
}

static void mask_apply(void *state, float *logits, size_t n_vocab)
{
    struct error err;
    (void)n_vocab; /* the grammar's vocabulary has as many */
    grammar_mask_logits(state, logits, NULL, &err);
}

static void mask_accept(void *state, int32_t token)
{
    grammar_accept(state, token, NULL);
}

static bool mask_fits(void *state, const char *bytes, size_t n)
{
    return grammar_accept_bytes(state, bytes, n, NULL) == OK &&
           grammar_rollback(state, 1, NULL) == OK;
}

static void mask_accept_bytes(void *state, const char *bytes, size_t n)
{
    grammar_accept_bytes(state, bytes, n, NULL);
}

static const struct sched_mask masks = {mask_create, mask_destroy, mask_apply,
                                        mask_accept, mask_fits,    mask_accept_bytes};

static void set_grammar(struct job *j, struct reader *rd, enum grammar_kind kind, const char *text,
                        size_t len)
{
    if (rd->err.code) return;
    if (j->grammar) {
        read_fail(rd, "only one of grammar, JSON schema and response format can hold at a time");
        return;
    }
    const struct grammar_vocab *vocab;
    if (engine_grammar_vocab(j->m->engine, &vocab, &rd->err) != OK) return;
    if (grammar_compile(kind, text, len, vocab, NULL, &j->grammar, &rd->err) != OK) return;
    j->q.mask = &masks;
    j->q.mask_ctx = j;
}

/* ---- the ways to ask for it -------------------------------------------------------------------
 */

void job_set_schema(struct job *j, struct reader *rd, const json_t *schema)
{
    if (rd->err.code) return;
    if (!json_is_object(schema) && !json_is_boolean(schema)) {
        read_fail(rd, "a JSON schema must be an object");
        return;
    }
    char *text = json_dumps(schema, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text)
        set_grammar(j, rd, GRAMMAR_JSON_SCHEMA, text, strlen(text));
    else
        read_fail(rd, "no memory for the JSON schema");
    free(text);
}

void job_set_json(struct job *j, struct reader *rd)
{
    set_grammar(j, rd, GRAMMAR_JSON, "", 0);
}

void job_read_response_format(struct job *j, struct reader *rd)
{
    const json_t *f = read_object(rd, "response_format");
    if (!f) return;
    const char *type = json_string_value(json_object_get(f, "type"));
    const json_t *wrapped = json_object_get(json_object_get(f, "json_schema"), "schema");
    const json_t *schema = wrapped ? wrapped : json_object_get(f, "schema");
    if (!type)
        read_fail(rd, "'response_format' has no type");
    else if (strcmp(type, "json_schema") == 0 || (strcmp(type, "json_object") == 0 && schema))
        job_set_schema(j, rd, schema);
    else if (strcmp(type, "json_object") == 0)
        job_set_json(j, rd);
    else if (strcmp(type, "text") != 0)
        read_fail(rd, "'response_format' must be of type text, json_object or json_schema");
}

void job_read_format(struct job *j, struct reader *rd)
{
    const json_t *f = read_any(rd, "format");
    if (!f || (json_is_string(f) && !json_string_length(f))) return;
    if (json_is_object(f))
        job_set_schema(j, rd, f);
    else if (json_is_string(f) && strcmp(json_string_value(f), "json") == 0)
        job_set_json(j, rd);
    else
        read_fail(rd, "'format' must be \"json\" or a JSON schema");
}

void job_read_grammar(struct job *j, struct reader *rd)
{
    const char *text = NULL;
    size_t len = 0;
    read_string(rd, "grammar", &text, &len);
    if (len) set_grammar(j, rd, GRAMMAR_GBNF, text, len);
    const json_t *schema = read_any(rd, "json_schema");
    if (schema) job_set_schema(j, rd, schema);
}
