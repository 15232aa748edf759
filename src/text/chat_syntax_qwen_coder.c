/* Qwen 3 Coder and 3.5: <tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>,
 * and what the other Qwen models write, which it falls back to now and then. */
#include "text/chat_syntax_int.h"

static const struct chat_tag tags[] = {
    {"<think>", CHAT_TEXT_BIT | CHAT_BETWEEN_BIT, CHAT_IN_REASONING, false},
    {"</think>", CHAT_REASONING_BIT, CHAT_IN_TEXT, false},
    {"<tool_call>", CHAT_TEXT_BIT | CHAT_BETWEEN_BIT, CHAT_IN_CALL, true},
    {"<function=", CHAT_TEXT_BIT | CHAT_BETWEEN_BIT, CHAT_IN_XML, true},
    {"</function>", CHAT_BETWEEN_BIT, CHAT_BETWEEN, true},
    {"</tool_call>", CHAT_BETWEEN_BIT, CHAT_BETWEEN, true},
    {0},
};

static const char *const marks[] = {"<parameter=", NULL};

const struct chat_syntax chat_syntax_qwen_coder = {.name = "qwen-coder", .tags = tags, .marks = marks};
