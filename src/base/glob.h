/* Patterns of names: '*' stands for any characters, '?' for one, all others for themselves. */
#ifndef HEARTH_BASE_GLOB_H
#define HEARTH_BASE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the pattern fits all of text[0..len). Takes time in proportion to the product of the
 * lengths at most. */
bool glob_fits(const char *pattern, const char *text, size_t len);
/* How many characters of a pattern only themselves fit: the more, the more specific. */
size_t glob_literals(const char *pattern);

#endif
