/* Conversations: from any dialect's messages to the one form that chat templates take (OpenAI's),
 * and from there to a prompt. */
#ifndef HEARTH_API_CHAT_H
#define HEARTH_API_CHAT_H

#include "api/job.h"

enum { CHAT_MAX_MESSAGES = 8192, CHAT_MAX_TOOLS = 256 };

struct chat {
    json_t *messages; /* owned: [{role, content, tool_calls?, tool_call_id?, name?}], contents are
                         strings */
    json_t *
        tools; /* owned: [{type: "function", function: {name, description, parameters}}]; or NULL */
    json_t *kwargs;             /* owned: more variables for the template; or NULL */
    bool no_generation_prompt;  /* the last message is the beginning of the answer */
    bool must_call;             /* the answer has to be a tool call */
    const char *must_call_name; /* of this tool; borrowed; or NULL */
};

void chat_fini(struct chat *c);
/* Adds a message with a content of one text; false without memory. */
bool chat_add(struct chat *c, const char *role, const char *text, size_t len);

/* OpenAI's `messages`, checked: contents of several text parts become one text; other parts are
 * refused. Ollama's are the same but for the arguments' form, which both may have. */
void chat_read_messages(struct chat *c, struct reader *rd, const char *key);
/* OpenAI's and Ollama's `tools` and `tool_choice`. */
void chat_read_tools(struct chat *c, struct reader *rd);
/* A content: a string, or an array of text parts, appended to `out`. */
bool chat_content_text(const json_t *content, struct buf *out, struct error *err);

/* The prompt as text. */
enum status chat_render(const struct loaded_model *m, const struct chat *c, struct buf *out,
                        struct error *err);
/* Adds the prompt to a job, and has tool calls read from the answer where there are tools. */
enum status job_add_chat(struct job *j, const struct chat *c, struct error *err);

#endif
