/* Finding things by name: a sorted array of pointers. A file made to make names collide cannot slow
 * it down. */
#ifndef HEARTH_GGUF_GGUF_NAMES_H
#define HEARTH_GGUF_GGUF_NAMES_H

#include <stddef.h>

#include "gguf/gguf.h"

/* Sorts pointers to `n` names, the first members of structs `stride` bytes apart, into a new array.
 * *duplicate is the second of two equal names or NULL. ERR_NOMEM without memory. */
enum status gguf_index(const void *names, size_t n, size_t stride, const struct gguf_str ***index,
                       const struct gguf_str **duplicate);
/* The indexed struct with that name, or NULL. */
const void *gguf_index_find(const struct gguf_str *const *index, size_t n, const char *name);

#endif
