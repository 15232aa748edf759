/* llama.cpp's /infill, which Hearth has too; the server knows the model's template. */
#include "eval/peer.h"

static json_t *body(const struct peer_options *o, const struct fim_family *family,
                    const struct peer_question *q)
{
    (void)family;
    json_t *b = json_pack("{s:s%, s:s%, s:s, s:i, s:f, s:i, s:b, s:b}", "input_prefix", q->prefix,
                          q->prefix_len, "input_suffix", q->suffix, q->suffix_len, "prompt", "",
                          "n_predict", q->max_tokens, "temperature", 0.0, "top_k", 1, "stream", 1,
                          "cache_prompt", 1);
    if (b && o->model) json_object_set_new(b, "model", json_string(o->model));
    return b;
}

/* Hearth takes the file's name besides. */
static json_t *hearth_body(const struct peer_options *o, const struct fim_family *family,
                           const struct peer_question *q)
{
    json_t *b = body(o, family, q);
    if (b && q->path) json_object_set_new(b, "filename", json_string(q->path));
    return b;
}

static enum status event(const json_t *e, struct peer_answer *a)
{
    const json_t *text = json_object_get(e, "content"), *n = json_object_get(e, "tokens_predicted");
    const json_t *prompt = json_object_get(e, "tokens_evaluated");
    if (json_is_integer(n)) a->tokens = json_integer_value(n);
    if (json_is_integer(prompt)) a->prompt = json_integer_value(prompt);
    if (!json_is_string(text)) return OK;
    return buf_append(&a->text, json_string_value(text), json_string_length(text));
}

extern const struct eval_api eval_api_hearth, eval_api_llama;
const struct eval_api eval_api_llama = {
    .name = "llama.cpp",
    .path = "/infill",
    .body = body,
    .event = event,
};
const struct eval_api eval_api_hearth = {
    .name = "hearth",
    .path = "/infill",
    .body = hearth_body,
    .event = event,
};
