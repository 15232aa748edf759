/* Requests, and what becomes of them. */
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "api_kit.h"

#define TOOLS                                                                                      \
    "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\","    \
    "\"properties\":{\"a\":{\"type\":\"integer\"}}}}}]"
#define SCHEMA                                                                                     \
    "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[1,\"b\"]}},\"required\":[\"a\"]}"

const struct api_seed api_seeds[] = {
    {"/v1/completions",
     "{\"prompt\":\"a b\",\"max_tokens\":2,\"n\":1,\"best_of\":1,\"stop\":[\"x\"],\"logprobs\":1,"
     "\"echo\":false,\"stream\":false,\"temperature\":0.5,\"top_p\":0.9,\"seed\":1,"
     "\"logit_bias\":{\"5\":-1},\"model\":\"tiny\",\"stream_options\":{\"include_usage\":true}}"},
    {"/v1/completions",
     "{\"prompt\":\"def "
     "f(\",\"suffix\":\"return\",\"max_tokens\":3,\"stream\":true,\"user\":\"u\"}"},
    {"/v1/chat/completions",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}],"
     "\"max_tokens\":2,\"tools\":" TOOLS ",\"tool_choice\":\"auto\",\"response_format\":"
     "{\"type\":\"text\"},\"logprobs\":true,\"top_logprobs\":1}"},
    {"/v1/chat/completions",
     "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"assistant\",\"tool_"
     "calls\":"
     "[{\"id\":\"i\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
     "{\"role\":\"tool\",\"tool_call_id\":\"i\",\"content\":\"1\"}],\"stream\":true,\"max_tokens\":"
     "2,"
     "\"prediction\":{\"type\":\"content\",\"content\":\"a b\"},\"response_format\":{\"type\":"
     "\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":" SCHEMA "}}}"},
    {"/v1/responses",
     "{\"input\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_output_tokens\":2,\"instructions\":"
     "\"x\",\"stream\":true,\"tools\":[],\"text\":{\"format\":{\"type\":\"text\"}}}"},
    {"/v1/embeddings", "{\"input\":[\"a\",\"b\"],\"encoding_format\":\"float\",\"dimensions\":4}"},
    {"/api/generate",
     "{\"model\":\"tiny\",\"prompt\":\"a\",\"suffix\":\"b\",\"stream\":false,\"raw\":true,"
     "\"keep_alive\":\"5m\",\"format\":\"\",\"context\":[1,2],\"system\":\"s\",\"options\":"
     "{\"num_predict\":2,\"temperature\":0,\"stop\":[\"x\"],\"seed\":3,\"num_ctx\":128}}"},
    {"/api/chat",
     "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"tool_calls\":[]}],"
     "\"stream\":true,\"options\":{\"num_predict\":2},\"think\":false,\"format\":" SCHEMA
     ",\"tools\":" TOOLS "}"},
    {"/api/embed", "{\"model\":\"tiny\",\"input\":\"a\",\"truncate\":true}"},
    {"/api/show", "{\"model\":\"tiny\",\"verbose\":false}", 400},
    {"/completion",
     "{\"prompt\":[1,2,3],\"n_predict\":2,\"n_probs\":1,\"grammar\":\"root ::= [a-z]+\",\"min_p\":"
     "0.1,\"top_k\":5,\"logit_bias\":[[5,false],[\"a\",1.0]],\"repeat_penalty\":1.1,\"stream\":"
     "true,\"cache_prompt\":true,\"n_keep\":0,\"json_schema\":null}"},
    {"/infill",
     "{\"input_prefix\":\"a\",\"input_suffix\":\"b\",\"input_extra\":[{\"filename\":\"c\",\"text\":"
     "\"d\"}],\"n_predict\":2,\"filename\":\"f.c\",\"repo_name\":\"r\",\"prompt\":\"p\"}"},
    {"/tokenize", "{\"content\":\"a\",\"with_pieces\":true,\"add_special\":true}"},
    {"/detokenize", "{\"tokens\":[1,2]}"},
    {"/apply-template", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}"},
    {"/embedding", "{\"content\":\"a\"}"},
    {"/reranking", "{\"query\":\"a\",\"documents\":[\"b\",\"c\"],\"top_n\":1}", 400},
    {"/v1/messages",
     "{\"model\":\"tiny\",\"max_tokens\":2,\"system\":[{\"type\":\"text\",\"text\":\"s\"}],"
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
     "\"tool_result\",\"tool_use_id\":\"i\",\"content\":\"r\"}]}],\"stop_sequences\":[\"q\"],"
     "\"tools\":[{\"name\":\"t\",\"input_schema\":" SCHEMA "}],\"tool_choice\":{\"type\":\"any\"},"
     "\"stream\":true}"},
    {"/v1/messages/count_tokens", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}"},
};
const size_t api_n_seeds = sizeof api_seeds / sizeof *api_seeds;

static const char *const odd[] = {
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1",
    "2147483648",
    "-9223372036854775808",
    "9223372036854775807",
    "1e308",
    "-0.0",
    "0.5",
    "1e-320",
    "\"\"",
    "\"a\"",
    "\"\\u0000\"",
    "\"\xE2\x82\xAC\xE2\x82\xAC\"",
    "[]",
    "[[]]",
    "{}",
    "[null]",
    "[1.5]",
    "[\"a\",1]",
    "{\"a\":{\"b\":[]}}",
    "[{\"role\":\"user\"}]",
    "\"json\"",
    "{\"type\":\"object\"}",
    "{\"$ref\":\"#\"}",
    "{\"pattern\":\"(a*)*b\"}",
    "\"root ::= root\"",
    "\"sha256:../../x\"",
    "\"<|im_start|><|fim_prefix|>\"",
    "\"{{ 7*7 }}\"",
    "[[0,1,2,3,4,5,6,7,8,9]]",
    "\"/etc/passwd\"",
    "\"\xF0\x9F\x98\x80\"",
    "\"5m\"",
    "\"-1s\"",
    "65536",
    "257",
    "-2",
};

static size_t below(uint64_t *s, size_t n)
{
    return n ? (size_t)(api_kit_random(s) % n) : 0;
}

static json_t *any_value(uint64_t *s)
{
    if (below(s, 40) == 0) { /* long, or deep */
        size_t n = 1 + below(s, 3000);
        char *text = malloc(n + 1);
        if (!text) return NULL;
        memset(text, 'x', n);
        json_t *j = json_stringn(text, n);
        free(text);
        return j;
    }
    if (below(s, 60) == 0) {
        json_t *j = json_array();
        for (int i = 0; i < 200; i++) {
            json_t *outer = json_array();
            json_array_append_new(outer, j);
            j = outer;
        }
        return j;
    }
    const char *text = odd[below(s, sizeof odd / sizeof *odd)];
    return json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

/* Half the time of the type that was there, which gets further than the first check. */
static json_t *odd_value(uint64_t *s, const json_t *was)
{
    json_t *j = any_value(s);
    bool alike = below(s, 2);
    for (int i = 0; alike && i < 20 && json_typeof(j) != json_typeof(was); i++) {
        json_decref(j);
        j = any_value(s);
    }
    return j;
}

/* A random key of an object, or NULL. */
static const char *some_key(uint64_t *s, json_t *j)
{
    size_t at = below(s, json_object_size(j));
    const char *key;
    json_t *v;
    json_object_foreach(j, key, v)
    {
        if (at-- == 0) return key;
    }
    return NULL;
}

/* Changes one place at or below j, which is an object or an array with something in it. */
static void change(uint64_t *s, json_t *j)
{
    for (int depth = 0; depth < 12; depth++) {
        json_t *child;
        const char *key = NULL;
        size_t at = 0;
        if (json_is_object(j)) {
            key = some_key(s, j);
            if (!key) return;
            child = json_object_get(j, key);
        } else {
            at = below(s, json_array_size(j));
            child = json_array_get(j, at);
        }
        bool inner = (json_is_object(child) && json_object_size(child)) ||
                     (json_is_array(child) && json_array_size(child));
        if (inner && below(s, 3)) {
            j = child;
            continue;
        }
        size_t how = below(s, 10);
        if (key && how < 2)
            json_object_del(j, key);
        else if (key)
            json_object_set_new(j, key, odd_value(s, child));
        else if (how < 2)
            json_array_remove(j, at);
        else if (how < 4)
            json_array_append(j, child);
        else
            json_array_set_new(j, at, odd_value(s, child));
        return;
    }
}

/* Damages bytes of the text, which has room for 8 more. */
static size_t damage(uint64_t *s, char *text, size_t len)
{
    for (size_t n = below(s, 3) + 1; n && len; n--) {
        size_t at = below(s, len), cut = 1 + below(s, 4);
        switch (below(s, 4)) {
        case 0:
            text[at] = (char)api_kit_random(s);
            break;
        case 1:
            memmove(text + at + 1, text + at, len - at);
            text[at] = "\"{}[],:\\0e"[below(s, 10)];
            len++;
            break;
        case 2:
            if (cut > len - at) cut = len - at;
            memmove(text + at, text + at + cut, len - at - cut);
            len -= cut;
            break;
        default:
            len = at;
        }
    }
    return len;
}

char *api_kit_mutate(uint64_t *state, const struct api_seed *seed, size_t *len)
{
    json_t *j = json_loads(seed->body, 0, NULL);
    for (size_t n = below(state, 3) ? 1 : 2 + below(state, 2); j && n; n--) change(state, j);
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(j);
    if (!text) abort();
    size_t n = strlen(text);
    char *out = realloc(text, n + 9);
    if (!out) abort();
    *len = below(state, 8) ? n : damage(state, out, n);
    return out;
}
