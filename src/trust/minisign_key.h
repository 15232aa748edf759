/* minisign's key files (https://jedisct1.github.io/minisign/, "Key format"; minisign 0.11). Inside
 * of module trust; key.h is what others use. */
#ifndef HEARTH_TRUST_MINISIGN_KEY_H
#define HEARTH_TRUST_MINISIGN_KEY_H

#include "trust/key.h"

enum status minisign_public_parse(const char *text, size_t len, const char *what,
                                  struct trust_key *out, struct error *err);
enum status minisign_secret_parse(const char *text, size_t len, const char *what,
                                  const char *password, struct trust_key *out, struct error *err);
enum status minisign_public_write(const struct trust_key *k, struct buf *out);

/* The next line of text[*at..len), without its end ("\n" or "\r\n"); false at the end of the text.
 */
bool minisign_line(const char *text, size_t len, size_t *at, const char **line, size_t *line_len);

#endif
