/* Calls every accessor on everything in an opened file. Reads all that it may read, so that a
 * sanitizer or a guard page notices what lies outside. */
#ifndef HEARTH_TESTS_GGUF_EXERCISE_H
#define HEARTH_TESTS_GGUF_EXERCISE_H

#include "gguf/gguf.h"

/* NULL, or what is inconsistent. A file in memory must be the only shard: its tensors have to lie
 * within `data`; with a NULL `data` that is not checked. */
const char *gguf_exercise(const struct gguf *g, const uint8_t *data, size_t size);

#endif
