/* Conversations: from any dialect's messages to the one form that chat templates take (OpenAI's),
 * and from there to a prompt. */
#ifndef HEARTH_API_TALK_H
#define HEARTH_API_TALK_H

#include "api/job.h"

enum { TALK_MAX_MESSAGES = 8192, TALK_MAX_TOOLS = 256 };

struct talk {
    json_t *messages; /* owned: [{role, content, tool_calls?, tool_call_id?, name?}], contents are
                         strings */
    json_t *
        tools; /* owned: [{type: "function", function: {name, description, parameters}}]; or NULL */
    json_t *kwargs;             /* owned: more variables for the template; or NULL */
    bool no_generation_prompt;  /* the last message is the beginning of the answer */
    bool must_call;             /* the answer has to be a tool call */
    const char *must_call_name; /* of this tool; borrowed; or NULL */
};

void talk_fini(struct talk *c);
/* Adds a message with a content of one text; false without memory. */
bool talk_add(struct talk *c, const char *role, const char *text, size_t len);

/* OpenAI's `messages`, checked: contents of several text parts become one text; other parts are
 * refused. Ollama's are the same but for the arguments' form, which both may have. */
void talk_read_messages(struct talk *c, struct reader *rd, const char *key);
/* OpenAI's and Ollama's `tools` and `tool_choice`. */
void talk_read_tools(struct talk *c, struct reader *rd);
/* A content: a string, or an array of text parts, appended to `out`. */
bool talk_content_text(const json_t *content, struct buf *out, struct error *err);

/* The prompt as text; `marks` as chat_render has them, or NULL. */
enum status talk_render(const struct loaded_model *m, const struct talk *c, struct buf *out,
                        struct buf *marks, struct error *err);
/* Adds the prompt to a job, and has tool calls read from the answer where there are tools. */
enum status job_add_chat(struct job *j, const struct talk *c, struct error *err);

#endif
