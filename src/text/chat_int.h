#ifndef HEARTH_TEXT_CHAT_INT_H
#define HEARTH_TEXT_CHAT_INT_H

#include "text/chat.h"

/* A built-in template and where it fits: the vocabulary has the token, or the architecture is this; one
 * with neither fits everywhere. */
struct chat_builtin {
    const char *name, *token, *architecture, *stop, *template;
};
const struct chat_builtin *chat_builtin_for(const struct chat_source *src); /* never NULL */

#endif
