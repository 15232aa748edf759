/* Mistral: [TOOL_CALLS] [{"name": ..., "arguments": {...}}], and since 2025 [TOOL_CALLS]NAME[ARGS]{...},
 * with [CALL_ID]ID in between; [THINK]...[/THINK]. */
#include "text/chat_syntax_int.h"

static struct text_str name_in(struct text_str head)
{
    return chat_trim(chat_before(chat_before(head, "[ARGS]"), "[CALL_ID]"));
}

static const struct chat_tag tags[] = {
    {"[THINK]", CHAT_TEXT_BIT, CHAT_IN_REASONING, false},
    {"[/THINK]", CHAT_REASONING_BIT, CHAT_IN_TEXT, false},
    {"<think>", CHAT_TEXT_BIT, CHAT_IN_REASONING, false},
    {"</think>", CHAT_REASONING_BIT, CHAT_IN_TEXT, false},
    {"[TOOL_CALLS]", CHAT_TEXT_BIT | CHAT_BETWEEN_BIT, CHAT_IN_CALL, true},
    {0},
};

static const char *const marks[] = {"[TOOL_CALLS]", "[TOOL_CALL]", NULL};

const struct chat_syntax chat_syntax_mistral = {
    .name = "mistral", .tags = tags, .marks = marks, .name_in = name_in};
