/* Any bytes as lines of an agent: each gets at most one answer, which is a message of JSON-RPC 2.0 and can be
 * written; before `initialize` none of the tools runs. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/mcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mcp_server server;

/* Gives its arguments back. */
static enum status echo(void *ctx, const json_t *args, struct mcp_answer *out, struct error *err)
{
    (void)ctx;
    if (!json_is_object(args) || !server.initialized) abort();
    if (json_object_get(args, "fail")) return error_set(err, ERR_INVALID, "%s", json_string_value(json_object_get(args, "fail")) ? "told" : "odd");
    char *text = json_dumps(args, JSON_COMPACT);
    enum status st = text ? buf_append_str(&out->text, text) : ERR_NOMEM;
    free(text);
    if (json_object_get(args, "data")) out->data = json_copy((json_t *)args);
    return st;
}

static void check(const json_t *m)
{
    const char *version = json_string_value(json_object_get(m, "jsonrpc"));
    const json_t *id = json_object_get(m, "id");
    if (!version || strcmp(version, "2.0") != 0 || !id) abort();
    if ((json_object_get(m, "result") != NULL) == (json_object_get(m, "error") != NULL)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mcp_tool tools[] = {
        {"echo", "Echo", "Gives back", "{\"type\": \"object\"}", echo}, {0}};
    server = (struct mcp_server){.tools = tools, .version = "0", .instructions = "", .revision = -1};
    const char *p = (const char *)data, *end = p + size;
    while (p < end) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((line_end ? line_end : end) - p);
        json_t *answer = mcp_answer_line(&server, p, n);
        if (json_is_array(answer)) {
            for (size_t i = 0; i < json_array_size(answer); i++) check(json_array_get(answer, i));
        } else if (answer) {
            check(answer);
        }
        char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
        if (answer && !text) abort();
        free(text);
        json_decref(answer);
        p += n + 1;
    }
    return 0;
}
