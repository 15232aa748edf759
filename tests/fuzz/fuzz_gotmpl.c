/* libFuzzer target: a Go template, rendered with a small conversation. It ends within its budgets,
 * and every byte has its mark. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/gotmpl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char request[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \" S\\u00e9 \"}, {\"role\": \"user\", "
    "\"content\": \"Hi <b>\"},"
    "{\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": [{\"id\": \"1\", \"function\":"
    "{\"name\": \"f\", \"arguments\": {\"a\": [1, 2.5, true, null], \"b\": {}}}}]}, {\"role\": "
    "\"tool\", \"content\": \"4\"}],"
    "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": "
    "{\"type\": \"object\","
    "\"properties\": {\"a\": {\"type\": [\"string\", \"null\"], \"anyOf\": [{\"type\": "
    "\"array\"}]}}}}}], \"enable_thinking\": true}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gotmpl *t = NULL;
    if (gotmpl_compile((const char *)data, size, &t, NULL) != OK) return 0;
    json_t *v = json_loads(request, 0, NULL);
    struct buf out, marks;
    for (int i = 0; i < 2; i++) {
        buf_init(&out, 2 << 20);
        buf_init(&marks, 2 << 20);
        const struct gotmpl_options opt = {
            .limits = {.steps = 100000, .memory = 8 << 20, .output = 1 << 20},
            .now = 1,
            .marks = &marks};
        enum status st =
            i ? gotmpl_render(t, v, &opt, &out, NULL) : gotmpl_render_chat(t, v, &opt, &out, NULL);
        if (out.len != marks.len || out.len > (1 << 20) || (st != OK && out.len)) abort();
        buf_fini(&marks);
        buf_fini(&out);
    }
    json_decref(v);
    gotmpl_destroy(t);
    return 0;
}
