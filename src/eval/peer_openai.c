/* OpenAI's /v1/completions: with `suffix` where the server makes the prompt, else with a prompt of
 * control tokens as text. */
#include <stdlib.h>
#include <string.h>

#include "eval/peer.h"

static json_t *body(const struct peer_options *o, const struct fim_family *family,
                    const struct peer_question *q)
{
    /* The server makes the prompt unless a template was asked for by name. */
    char *prompt = family && o->family ? peer_prompt(family, q) : NULL;
    if (family && o->family && !prompt) return NULL;
    json_t *b = json_pack("{s:i, s:f, s:b, s:{s:b}}", "max_tokens", q->max_tokens, "temperature",
                          0.0, "stream", 1, "stream_options", "include_usage", 1);
    if (b && o->model) json_object_set_new(b, "model", json_string(o->model));
    if (b && prompt) json_object_set_new(b, "prompt", json_string(prompt));
    if (b && !prompt) {
        json_object_set_new(b, "prompt", json_stringn(q->prefix, q->prefix_len));
        json_object_set_new(b, "suffix", json_stringn(q->suffix, q->suffix_len));
    }
    free(prompt);
    return b;
}

static enum status event(const json_t *e, struct peer_answer *a)
{
    const json_t *usage = json_object_get(e, "usage");
    const json_t *n = json_object_get(usage, "completion_tokens");
    const json_t *prompt = json_object_get(usage, "prompt_tokens");
    if (json_is_integer(n)) a->tokens = json_integer_value(n);
    if (json_is_integer(prompt)) a->prompt = json_integer_value(prompt);
    const json_t *text = json_object_get(json_array_get(json_object_get(e, "choices"), 0), "text");
    if (!json_is_string(text)) return OK;
    return buf_append(&a->text, json_string_value(text), json_string_length(text));
}

extern const struct eval_api eval_api_openai;
const struct eval_api eval_api_openai = {
    .name = "openai",
    .path = "/v1/completions",
    .body = body,
    .event = event,
};
