/* Base64 (RFC 4648, section 4) by the letter: no white space, full padding, unused bits zero. One
 * text stands for one sequence of bytes, so that no changed character of a signature goes
 * unnoticed. */
#ifndef HEARTH_TRUST_BASE64_H
#define HEARTH_TRUST_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

/* Appends the bytes to `out`. ERR_FORMAT for anything but canonical base64; ERR_LIMIT, ERR_NOMEM.
 */
enum status base64_decode(const char *text, size_t len, struct buf *out);
/* Into memory of exactly `size` bytes; ERR_FORMAT where the text holds another number. */
enum status base64_decode_exact(const char *text, size_t len, uint8_t *dst, size_t size);
enum status base64_encode(const void *data, size_t len, struct buf *out);

#endif
