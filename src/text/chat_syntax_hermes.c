/* Hermes 2 and 3, Qwen 2.5 and 3, SmolLM 3: <tool_call>{"name": ..., "arguments": {...}}</tool_call>.
 * Qwen 2.5 Coder, also of 7B, often leaves the tags out or writes a code fence in their place. */
#include "text/chat_syntax_int.h"

static const struct chat_tag tags[] = {
    {"<think>", CHAT_TEXT_BIT | CHAT_BETWEEN_BIT, CHAT_IN_REASONING, false},
    {"</think>", CHAT_REASONING_BIT, CHAT_IN_TEXT, false},
    {"<tool_call>", CHAT_TEXT_BIT | CHAT_BETWEEN_BIT, CHAT_IN_CALL, true},
    {"</tool_call>", CHAT_BETWEEN_BIT, CHAT_BETWEEN, true},
    {0},
};

static const char *const marks[] = {"<tool_call>", NULL};

const struct chat_syntax chat_syntax_hermes = {
    .name = "hermes", .tags = tags, .marks = marks, .bare_json = true};
