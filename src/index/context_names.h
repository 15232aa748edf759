/* The names that matter at a place in a text: what stands around the cursor, what encloses it, what
 * the file imports, and what the types of things before a dot may be. Looks at words and lines
 * alone, so that it works in any language, on text that does not parse, in well under a
 * millisecond. */
#ifndef HEARTH_INDEX_CONTEXT_NAMES_H
#define HEARTH_INDEX_CONTEXT_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CONTEXT_NAMES = 512,
    CONTEXT_NAME_MAX = 128, /* bytes; longer ones are passed over */
    CONTEXT_HINTS = 128,
    CONTEXT_IMPORTS = 128,
    CONTEXT_MADE = 2048,
};

struct context_name {
    const char *text; /* into the text, or into `made`; not NUL-terminated */
    size_t len;
    float weight;  /* 0 to about 5: the nearer to the cursor, the more */
    bool imported; /* an import of the text names it */
    bool member;   /* it stands behind a dot, an arrow or a double colon near the cursor */
    bool made;     /* of a type that a variable's name or declaration suggests */
    uint32_t uses; /* outside of imports; of imported names only */
};
struct context_hint { /* a part of what is imported from: "util" of "a.util" and "./util.h" */
    const char *text;
    size_t len;
};

struct context_names {
    struct context_name list[CONTEXT_NAMES]; /* the heaviest first */
    size_t n;
    struct context_hint hints[CONTEXT_HINTS];
    size_t n_hints;
    struct context_span {
        size_t begin, end;
    } imports[CONTEXT_IMPORTS]; /* of the text, in its order */
    size_t n_imports;
    const char *partial; /* the word that ends at the cursor; borrowed */
    size_t partial_len;
    const char *receiver; /* the word before the dot in front of that; "" without */
    size_t receiver_len;
    char made[CONTEXT_MADE];
    size_t n_made;
    uint16_t slots[4 * CONTEXT_NAMES]; /* of `list` + 1 by hash; 0 = free */
};

/* Any bytes; offset <= len. The text must live as long as the names. */
void context_names_find(struct context_names *out, const char *text, size_t len, size_t offset);
/* NULL where it is none of them. */
const struct context_name *context_names_get(const struct context_names *names, const char *text,
                                             size_t len);

/* The next word of text[*at..len), where *at moves behind it; false without one. A word begins with
 * a letter, an underscore or a byte from 128 on. */
bool context_word(const char *text, size_t len, size_t *at, size_t *begin);

#endif
