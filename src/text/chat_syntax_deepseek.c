/* DeepSeek V3 and R1: <｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME, a fenced block of JSON,
 * <｜tool▁call▁end｜>; V3.1: <｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{...}<｜tool▁call▁end｜>; around all of
 * them <｜tool▁calls▁begin｜> and <｜tool▁calls▁end｜>. */
#include "text/chat_syntax_int.h"

static struct text_str name_in(struct text_str head)
{
    struct text_str fenced = chat_before(head, "```");
    struct text_str name = chat_trim(chat_behind(fenced, "<｜tool▁sep｜>"));
    return name.len ? name : chat_trim(chat_before(fenced, "<｜tool▁sep｜>"));
}

static const struct chat_tag tags[] = {
    {"<think>", CHAT_TEXT_BIT, CHAT_IN_REASONING, false},
    {"</think>", CHAT_REASONING_BIT, CHAT_IN_TEXT, false},
    {"<｜tool▁calls▁begin｜>", CHAT_TEXT_BIT, CHAT_BETWEEN, true},
    {"<｜tool▁call▁begin｜>", CHAT_TEXT_BIT | CHAT_BETWEEN_BIT, CHAT_IN_HEAD, true},
    {"```", CHAT_BETWEEN_BIT, CHAT_BETWEEN, true},
    {"<｜tool▁call▁end｜>", CHAT_BETWEEN_BIT, CHAT_BETWEEN, true},
    {"<｜tool▁calls▁end｜>", CHAT_BETWEEN_BIT, CHAT_BETWEEN, true},
    {0},
};

static const char *const marks[] = {"<｜tool▁call▁begin｜>", "<｜Assistant｜>", NULL};

const struct chat_syntax chat_syntax_deepseek = {
    .name = "deepseek", .tags = tags, .marks = marks, .name_in = name_in};
