/* The distinct words that an update has met, so that each is offered to the index's list of words once. */
#ifndef HEARTH_INDEX_WORDS_H
#define HEARTH_INDEX_WORDS_H

#include <stddef.h>

struct words;
struct words *words_create(void); /* NULL when out of memory */
void words_destroy(struct words *w); /* NULL is fine */

/* Words of 3 bytes and more with a letter in them; out of memory a word is met again, or missed, and pieces
 * of it are not found. */
void words_add(struct words *w, const char *word, size_t n);
/* The next new word since the last call, in any order; NULL when all were taken. Valid until words_add. */
const char *words_take(struct words *w);
/* After a rollback, or for a new index: none was met. */
void words_forget(struct words *w);

#endif
