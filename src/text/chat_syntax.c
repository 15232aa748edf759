/* The registry of syntaxes: a family is its file and one line here. */
#include <string.h>

#include "text/chat_syntax_int.h"

static const struct chat_syntax *const all[] = {
    &chat_syntax_harmony, &chat_syntax_deepseek, &chat_syntax_qwen_coder, &chat_syntax_mistral,
    &chat_syntax_hermes,  &chat_syntax_llama3,   &chat_syntax_json,
};

enum { N_ALL = sizeof all / sizeof all[0] };

const struct chat_syntax *chat_syntax_at(size_t i)
{
    return i < N_ALL ? all[i] : NULL;
}

const char *chat_syntax_name(const struct chat_syntax *s)
{
    return s->name;
}

const struct chat_syntax *chat_syntax_find(const char *name)
{
    for (size_t i = 0; i < N_ALL; i++)
        if (strcmp(all[i]->name, name) == 0) return all[i];
    return NULL;
}

const struct chat_syntax *chat_syntax_for(const char *source, size_t len)
{
    for (size_t i = 0; i < N_ALL; i++)
        for (const char *const *m = all[i]->marks; len && *m; m++)
            if (memmem(source, len, *m, strlen(*m))) return all[i];
    return &chat_syntax_json;
}

struct text_str chat_trim(struct text_str s)
{
    while (s.len && strchr(" \t\r\n", *s.data)) s.data++, s.len--;
    while (s.len && strchr(" \t\r\n", s.data[s.len - 1])) s.len--;
    return s;
}

struct text_str chat_before(struct text_str s, const char *end)
{
    const char *p = s.len ? memmem(s.data, s.len, end, strlen(end)) : NULL;
    if (p) s.len = (size_t)(p - s.data);
    return s;
}

struct text_str chat_behind(struct text_str s, const char *begin)
{
    const char *p;
    size_t n = strlen(begin);
    while (s.len && (p = memmem(s.data, s.len, begin, n)) != NULL) {
        s.len -= (size_t)(p + n - s.data);
        s.data = p + n;
    }
    return s;
}
