/* libFuzzer target: a chat template, rendered with a small conversation. It ends, within its budgets, and
 * a second rendering gives the same. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char vars[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \" S\\u00e9 \"}, {\"role\": \"user\", \"content\": \"Hi <b>\"},"
    "{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"type\": \"function\", \"id\": \"1\", \"function\":"
    "{\"name\": \"f\", \"arguments\": {\"a\": [1, 2.5, true, null], \"b\": {}}}}]}, {\"role\": \"tool\", \"content\": \"4\"}],"
    "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": {\"type\": \"object\"}}}],"
    "\"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"add_generation_prompt\": true}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jinja_template *t = NULL;
    if (jinja_compile((const char *)data, size, &t, NULL) != OK) return 0;
    struct jinja_options opt = {.limits = {.steps = 100000, .memory = 8 << 20, .output = 1 << 20}, .now = 1};
    json_t *v = json_loads(vars, 0, NULL);
    struct buf out[2], marks;
    buf_init(&marks, 2 << 20);
    enum status st[2];
    for (int i = 0; i < 2; i++) {
        struct jinja_cost cost = {0};
        buf_init(&out[i], 2 << 20);
        opt.marks = i ? &marks : NULL;
        if (i) opt.limits.memory *= 2; /* marks and copies of the variables take some */
        st[i] = jinja_render(t, v, &opt, &out[i], &cost, NULL);
        if (cost.memory > opt.limits.memory || out[i].len > opt.limits.output) abort();
    }
    if (st[0] != st[1] || out[0].len != out[1].len || (out[0].len && memcmp(out[0].data, out[1].data, out[0].len)))
        abort();
    if (marks.len != out[1].len) abort();
    buf_fini(&marks);
    buf_fini(&out[0]);
    buf_fini(&out[1]);
    json_decref(v);
    jinja_destroy(t);
    return 0;
}
