/* Where nothing is known of the model: a message that is JSON with a name and arguments is a call. */
#include "text/chat_syntax_int.h"

static const struct chat_tag tags[] = {
    {"<think>", CHAT_TEXT_BIT, CHAT_IN_REASONING, false},
    {"</think>", CHAT_REASONING_BIT, CHAT_IN_TEXT, false},
    {"<tool_call>", CHAT_TEXT_BIT | CHAT_BETWEEN_BIT, CHAT_IN_CALL, true},
    {"</tool_call>", CHAT_BETWEEN_BIT, CHAT_BETWEEN, true},
    {0},
};

static const char *const marks[] = {NULL};

const struct chat_syntax chat_syntax_json = {
    .name = "json", .tags = tags, .marks = marks, .bare_json = true};
