/* UTF-8 as the tokenizers need it: sequences by the Unicode standard's table 3-7, so overlong forms,
 * surrogates and truncated tails count as invalid bytes, one by one. */
#ifndef HEARTH_TEXT_UTF8_INT_H
#define HEARTH_TEXT_UTF8_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define UTF8_REPLACEMENT "\xEF\xBF\xBD"   /* U+FFFD */
#define UTF8_LOWER_BLOCK "\xE2\x96\x81"   /* U+2581, SentencePiece's visible space */

/* Length of the valid sequence that starts at p (n > 0 bytes are there), or 0. */
static inline size_t utf8_sequence(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    unsigned char lead = p[0];
    if (lead < 0x80) return 1;
    if (lead < 0xC2) return 0;
    if (lead < 0xE0) return n >= 2 && (p[1] & 0xC0) == 0x80 ? 2 : 0;
    if (lead < 0xF0) {
        if (n < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80) return 0;
        if (lead == 0xE0 && p[1] < 0xA0) return 0;
        if (lead == 0xED && p[1] > 0x9F) return 0;
        return 3;
    }
    if (lead > 0xF4) return 0;
    if (n < 4 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80) return 0;
    if (lead == 0xF0 && p[1] < 0x90) return 0;
    if (lead == 0xF4 && p[1] > 0x8F) return 0;
    return 4;
}

/* Bytes up to the first invalid one. */
static inline size_t utf8_valid_prefix(const char *text, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint64_t word;
        if (n - i >= sizeof word) {
            memcpy(&word, text + i, sizeof word);
            if (!(word & 0x8080808080808080u)) {
                i += sizeof word;
                continue;
            }
        }
        size_t len = utf8_sequence(text + i, n - i);
        if (!len) break;
        i += len;
    }
    return i;
}

/* Decodes a sequence whose length utf8_sequence gave. */
static inline uint32_t utf8_decode(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    switch (len) {
    case 1: return p[0];
    case 2: return (uint32_t)(p[0] & 0x1F) << 6 | (p[1] & 0x3F);
    case 3: return (uint32_t)(p[0] & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
    default:
        return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3F) << 12 |
               (uint32_t)(p[2] & 0x3F) << 6 | (p[3] & 0x3F);
    }
}

#endif
