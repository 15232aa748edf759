/* Ollama's /api/generate with `raw`: the prompt is the template's control tokens as text. */
#include <stdlib.h>

#include "assist/fim_families.h"
#include "eval/peer.h"

static json_t *body(const struct peer_options *o, const struct fim_family *family,
                    const struct peer_question *q)
{
    char *prompt = peer_prompt(family, q);
    json_t *b = prompt ? json_pack("{s:s, s:s, s:b, s:b, s:{s:f, s:i}}", "model",
                                   o->model ? o->model : "", "prompt", prompt, "raw", 1, "stream",
                                   1, "options", "temperature", 0.0, "num_predict", q->max_tokens)
                       : NULL;
    free(prompt);
    return b;
}

static enum status event(const json_t *e, struct peer_answer *a)
{
    const json_t *text = json_object_get(e, "response"), *n = json_object_get(e, "eval_count");
    const json_t *prompt = json_object_get(e, "prompt_eval_count");
    if (json_is_integer(n)) a->tokens = json_integer_value(n);
    if (json_is_integer(prompt)) a->prompt = json_integer_value(prompt);
    if (!json_is_string(text)) return OK;
    return buf_append(&a->text, json_string_value(text), json_string_length(text));
}

extern const struct eval_api eval_api_ollama;
const struct eval_api eval_api_ollama = {
    .name = "ollama",
    .path = "/api/generate",
    .needs_family = true,
    .body = body,
    .event = event,
};
