/* gpt-oss ("harmony"): <|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>...,
 * calls as <|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{...}<|call|>.
 * Source: OpenAI's description of the format, cookbook.openai.com/articles/openai-harmony. */
#include <string.h>

#include "text/chat_syntax_int.h"

static enum chat_mode header(struct text_str h, struct text_str *name)
{
    struct text_str to = chat_behind(h, "to=");
    if (to.len != h.len) {
        size_t n = 0;
        if (to.len > 10 && memcmp(to.data, "functions.", 10) == 0) to.data += 10, to.len -= 10;
        while (n < to.len && !strchr(" \t\r\n<", to.data[n])) n++;
        *name = (struct text_str){to.data, n};
        if (n) return CHAT_IN_HEAD;
    }
    return chat_behind(h, "analysis").len != h.len ? CHAT_IN_REASONING : CHAT_IN_TEXT;
}

#define ANYWHERE (CHAT_TEXT_BIT | CHAT_REASONING_BIT | CHAT_BETWEEN_BIT)

static const struct chat_tag tags[] = {
    {"<|channel|>", ANYWHERE, CHAT_IN_HEADER, false},
    {"<|start|>", ANYWHERE, CHAT_IN_HEADER, false},
    {"<|end|>", ANYWHERE, CHAT_IN_TEXT, false},
    {"<|return|>", ANYWHERE, CHAT_IN_TEXT, false},
    {"<|call|>", ANYWHERE, CHAT_IN_TEXT, false},
    {0},
};

static const char *const marks[] = {"<|channel|>", NULL};

const struct chat_syntax chat_syntax_harmony = {
    .name = "harmony", .tags = tags, .marks = marks, .header_end = "<|message|>", .header = header};
