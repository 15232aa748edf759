/* A server of the Model Context Protocol over standard input and output: JSON-RPC 2.0, one message a line.
 * The revisions 2024-11-05, 2025-03-26 and 2025-06-18 of modelcontextprotocol.io/specification. */
#ifndef HEARTH_CLI_MCP_H
#define HEARTH_CLI_MCP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/status.h"

enum {
    MCP_MAX_LINE = 1 << 20,   /* bytes of a message */
    MCP_MAX_TEXT = 128 << 10, /* bytes of a tool's answer */
};

/* A tool's answer: text for the model, and the same as an object for programs (may stay NULL; the server's). */
struct mcp_answer {
    struct buf text;
    json_t *data;
};

struct mcp_tool {
    const char *name, *title, *description;
    const char *schema; /* of its arguments: a JSON Schema's text */
    /* `args` is an object. An error is told to the model, which can do better: ERR_INVALID for arguments. */
    enum status (*call)(void *ctx, const json_t *args, struct mcp_answer *out, struct error *err);
};

struct mcp_server {
    const struct mcp_tool *tools; /* ended by a NULL name */
    void *ctx;                    /* of the tools */
    const char *version, *instructions;
    int revision;     /* negotiated: index of the list; -1 before */
    bool initialized; /* a client has begun */
};

/* Answers messages until the input ends; nothing that comes in ends it. ERR_IO: the output is closed. */
enum status mcp_serve(struct mcp_server *s, FILE *in, struct error *err);

/* The answer to one message, owned; NULL where none is due. */
json_t *mcp_answer_line(struct mcp_server *s, const char *line, size_t len);

#endif
