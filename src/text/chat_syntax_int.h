/* How a family of models marks reasoning and calls: a table of tags. One file per family, and one line
 * in chat_syntax.c. */
#ifndef HEARTH_TEXT_CHAT_SYNTAX_INT_H
#define HEARTH_TEXT_CHAT_SYNTAX_INT_H

#include <stdbool.h>
#include <stddef.h>

#include "text/chat_parse.h"
#include "text/tokenizer.h"

enum chat_mode {
    CHAT_IN_TEXT,
    CHAT_IN_REASONING,
    CHAT_IN_CALL,   /* behind a tag that opens a call: { or [ is JSON with the name in it, else a head */
    CHAT_IN_HEAD,   /* up to the arguments' {: `name` finds the tool's name in it */
    CHAT_IN_HEADER, /* up to `header_end`: `header` tells what follows */
    CHAT_IN_XML,    /* <parameter=NAME> VALUE </parameter> ... */
    CHAT_BETWEEN,   /* behind a call: tags, white space, commas, or text again */
    CHAT_IN_ARGUMENTS, /* of JSON, behind the name; tables do not use these two */
    CHAT_IN_TAIL,
};

struct chat_tag {
    const char *text;
    unsigned modes; /* bit 1 << mode: where it is looked for */
    enum chat_mode next;
    bool call;      /* looked for only where calls are */
};

struct chat_syntax {
    const char *name;
    const struct chat_tag *tags;     /* ended by a NULL text */
    /* Texts of a chat template that tell that the model writes this syntax; the first family in the
     * registry that has one of its own wins. Ended by NULL. */
    const char *const *marks;
    bool bare_json; /* a message that begins with { may be a call, also in a code fence */
    /* The name in what stands between the tag and the arguments; empty where there is none. */
    struct text_str (*name_in)(struct text_str head);
    const char *header_end;
    /* What a header says follows: text, reasoning, or CHAT_IN_HEAD for a call, with its name. */
    enum chat_mode (*header)(struct text_str header, struct text_str *name);
};

#define CHAT_TEXT_BIT      (1u << CHAT_IN_TEXT)
#define CHAT_REASONING_BIT (1u << CHAT_IN_REASONING)
#define CHAT_BETWEEN_BIT   (1u << CHAT_BETWEEN)

/* White space off both ends. */
struct text_str chat_trim(struct text_str s);
/* The part before the first `end`, or all. */
struct text_str chat_before(struct text_str s, const char *end);
/* The part behind the last `begin`, or all. */
struct text_str chat_behind(struct text_str s, const char *begin);

extern const struct chat_syntax chat_syntax_hermes, chat_syntax_qwen_coder, chat_syntax_llama3, chat_syntax_mistral,
    chat_syntax_deepseek, chat_syntax_harmony, chat_syntax_json;

#endif
