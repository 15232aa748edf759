/* Words of code, as the full-text index keeps them: an identifier whole and in its parts.
 *
 * "parseHttpRequest_v2" gives "parsehttprequest_v2", then "parse", "http", "request", "v2" at the same
 * place. Parts lose the commonest English endings ("paths" is found by "path"). Letters are lower-cased
 * where they are ASCII; bytes from 128 on count as letters, so text in any encoding has its words. */
#ifndef HEARTH_INDEX_TOKENS_H
#define HEARTH_INDEX_TOKENS_H

#include <stdbool.h>
#include <stddef.h>

enum { TOKEN_MAX = 64 }; /* bytes; longer words are cut */

/* Calls `emit` for each token of a text with its bytes' place in it; `part` for those at the place of the
 * token before. Ends early with what emit returns where that is not 0. */
int tokens_of(const char *text, size_t len,
              int (*emit)(void *ctx, bool part, const char *token, size_t n, size_t begin, size_t end),
              void *ctx);

/* Words that are in nearly every file or sentence and tell nothing ("the", "return"). Lower case. */
bool token_is_common(const char *token, size_t n);

#endif
