#include "cli/mcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/load.h"
#include "index/answer_json.h"

/* The newest first: it is what a client of an unknown revision is offered. */
static const char *const revisions[] = {"2025-06-18", "2025-03-26", "2024-11-05"};
enum { N_REVISIONS = sizeof revisions / sizeof *revisions, REVISION_BATCHES = 1, REVISION_DATA = 0 };

/* JSON-RPC's codes. */
enum { PARSE_ERROR = -32700, INVALID_REQUEST = -32600, NO_METHOD = -32601, INVALID_PARAMS = -32602, INTERNAL = -32603 };

static json_t *failure(const json_t *id, int code, const char *message)
{
    return json_pack("{s:s, s:O, s:{s:i, s:o}}", "jsonrpc", "2.0", "id", id ? id : json_null(), "error", "code", code,
                     "message", index_json_text(message, strlen(message)));
}

/* Steals `result`. */
static json_t *success(const json_t *id, json_t *result)
{
    json_t *answer = result ? json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id, "result", result) : NULL;
    return answer ? answer : failure(id, INTERNAL, "out of memory");
}

static json_t *initialize(struct mcp_server *s, const json_t *id, const json_t *params)
{
    const char *wanted = json_string_value(json_object_get(params, "protocolVersion"));
    if (!wanted) return failure(id, INVALID_PARAMS, "params.protocolVersion is not a string");
    s->revision = 0;
    for (int i = 0; i < N_REVISIONS; i++)
        if (strcmp(wanted, revisions[i]) == 0) s->revision = i;
    s->initialized = true;
    return success(id, json_pack("{s:s, s:{s:{s:b}}, s:{s:s, s:s, s:s}, s:s}", "protocolVersion", revisions[s->revision],
                                 "capabilities", "tools", "listChanged", 0, "serverInfo", "name", "hearth", "title",
                                 "Hearth", "version", s->version, "instructions", s->instructions));
}

static json_t *list_tools(const struct mcp_server *s, const json_t *id)
{
    json_t *list = json_array();
    for (const struct mcp_tool *t = s->tools; list && t->name; t++) {
        json_t *schema = json_loads(t->schema, 0, NULL);
        json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:{s:s, s:b, s:b, s:b}}", "name", t->name, "title", t->title,
                              "description", t->description, "inputSchema", schema, "annotations", "title", t->title,
                              "readOnlyHint", 1, "idempotentHint", 1, "openWorldHint", 0);
        if (!o || json_array_append_new(list, o)) {
            json_decref(list);
            list = NULL;
        }
    }
    return success(id, list ? json_pack("{s:o}", "tools", list) : NULL);
}

static const struct mcp_tool *find_tool(const struct mcp_server *s, const char *name)
{
    for (const struct mcp_tool *t = s->tools; t->name; t++)
        if (strcmp(t->name, name) == 0) return t;
    return NULL;
}

/* A tool that fails is a result, which the model sees; a call that makes no sense is an error. */
static json_t *call_tool(struct mcp_server *s, const json_t *id, const json_t *params)
{
    const char *name = json_string_value(json_object_get(params, "name"));
    json_t *args = json_object_get(params, "arguments"), *none = json_object();
    const struct mcp_tool *t = name ? find_tool(s, name) : NULL;
    json_t *answer;
    if (!t || (args && !json_is_object(args) && !json_is_null(args))) {
        json_decref(none);
        return failure(id, INVALID_PARAMS, t ? "params.arguments is not an object" : "params.name names none of the tools");
    }
    struct mcp_answer out = {0};
    struct error err = {0};
    buf_init(&out.text, MCP_MAX_TEXT);
    enum status st = t->call(s->ctx, json_is_object(args) ? args : none, &out, &err);
    const char *text = st ? err.msg : out.text.data ? out.text.data : "";
    json_t *result = json_pack("{s:[{s:s, s:o}], s:b}", "content", "type", "text", "text",
                               index_json_text(text, st ? strlen(text) : out.text.len), "isError", st != OK);
    if (result && st == OK && out.data && s->revision == REVISION_DATA)
        json_object_set(result, "structuredContent", out.data);
    answer = success(id, result);
    json_decref(out.data);
    buf_fini(&out.text);
    json_decref(none);
    return answer;
}

static json_t *answer_request(struct mcp_server *s, const char *method, const json_t *id, const json_t *params)
{
    if (params && !json_is_object(params)) return failure(id, INVALID_PARAMS, "params is not an object");
    if (strcmp(method, "ping") == 0) return success(id, json_object());
    if (strcmp(method, "initialize") == 0) return initialize(s, id, params);
    if (!s->initialized) return failure(id, INVALID_REQUEST, "the first request has to be initialize");
    if (strcmp(method, "tools/list") == 0) return list_tools(s, id);
    if (strcmp(method, "tools/call") == 0) return call_tool(s, id, params);
    return failure(id, NO_METHOD, "there is no such method");
}

static json_t *answer_message(struct mcp_server *s, const json_t *m)
{
    const json_t *id = json_object_get(m, "id");
    const char *version = json_string_value(json_object_get(m, "jsonrpc"));
    const char *method = json_string_value(json_object_get(m, "method"));
    bool good_id = json_is_string(id) || json_is_number(id);
    if (!json_is_object(m) || !version || strcmp(version, "2.0") != 0)
        return failure(good_id ? id : NULL, INVALID_REQUEST, "this is no JSON-RPC 2.0 message");
    if (!method) {
        bool answer = json_object_get(m, "result") || json_object_get(m, "error");
        return answer ? NULL : failure(good_id ? id : NULL, INVALID_REQUEST, "method is not a string");
    }
    if (!id) return NULL; /* a notification: initialized, cancelled; each request is over when the next is read */
    if (!good_id) return failure(NULL, INVALID_REQUEST, "id is neither a string nor a number");
    return answer_request(s, method, id, json_object_get(m, "params"));
}

json_t *mcp_answer_line(struct mcp_server *s, const char *line, size_t len)
{
    json_error_t e;
    size_t at = 0;
    while (at < len && strchr(" \t\r\n", line[at]) && line[at]) at++;
    if (at == len) return NULL;
    json_t *m = json_loadb(line, len, JSON_ALLOW_NUL, &e), *answer;
    if (!m) return failure(NULL, PARSE_ERROR, "this line is no JSON");
    /* The middle revision alone has batches. */
    if (json_is_array(m) && s->revision == REVISION_BATCHES && json_array_size(m)) {
        answer = json_array();
        for (size_t i = 0; i < json_array_size(m); i++) {
            json_t *one = answer_message(s, json_array_get(m, i));
            if (one) json_array_append_new(answer, one);
        }
        if (json_array_size(answer) == 0) {
            json_decref(answer);
            answer = NULL;
        }
    } else {
        answer = answer_message(s, m);
    }
    json_decref(m);
    return answer;
}

/* A line without its end; false at the end of the input. *whole: all of it fits. */
static bool read_line(FILE *in, struct buf *line, bool *whole)
{
    char piece[8192];
    bool any = false;
    buf_clear(line);
    *whole = true;
    /* fgets tells no length: a NUL in the line would hide what follows. */
    for (int c; (c = getc_unlocked(in)) != EOF;) {
        size_t n = 0;
        any = true;
        for (; c != EOF && c != '\n' && n < sizeof piece; c = getc_unlocked(in)) {
            piece[n++] = (char)c;
            if (n == sizeof piece) break;
        }
        if (*whole && buf_append(line, piece, n) != OK) *whole = false;
        if (c == '\n' || c == EOF) break;
    }
    return any;
}

enum status mcp_serve(struct mcp_server *s, FILE *in, struct error *err)
{
    struct buf line;
    bool whole;
    enum status st = OK;
    buf_init(&line, MCP_MAX_LINE);
    s->revision = -1;
    while (st == OK && read_line(in, &line, &whole)) {
        json_t *answer = whole ? mcp_answer_line(s, line.data ? line.data : "", line.len)
                               : failure(NULL, INVALID_REQUEST, "a message has at most 1 MiB");
        if (answer) st = cli_print_json(answer, JSON_COMPACT, err);
    }
    buf_fini(&line);
    return st;
}
