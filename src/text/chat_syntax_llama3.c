/* Llama 3.1 to 3.3: {"name": ..., "parameters": {...}} as the whole message, perhaps behind <|python_tag|>,
 * and <function=NAME>{...}</function>. */
#include "text/chat_syntax_int.h"

static struct text_str name_in(struct text_str head)
{
    return chat_trim(chat_before(head, ">"));
}

static const struct chat_tag tags[] = {
    {"<think>", CHAT_TEXT_BIT, CHAT_IN_REASONING, false},
    {"</think>", CHAT_REASONING_BIT, CHAT_IN_TEXT, false},
    {"<|python_tag|>", CHAT_TEXT_BIT | CHAT_BETWEEN_BIT, CHAT_IN_CALL, true},
    {"<function=", CHAT_TEXT_BIT | CHAT_BETWEEN_BIT, CHAT_IN_HEAD, true},
    {"</function>", CHAT_BETWEEN_BIT, CHAT_BETWEEN, true},
    {0},
};

static const char *const marks[] = {"<|start_header_id|>", NULL};

const struct chat_syntax chat_syntax_llama3 = {
    .name = "llama3", .tags = tags, .marks = marks, .bare_json = true, .name_in = name_in};
