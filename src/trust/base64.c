#include "trust/base64.h"

#include <string.h>

static int letter_value(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

enum status base64_decode(const char *text, size_t len, struct buf *out)
{
    if (len % 4) return ERR_FORMAT;
    enum status st = buf_reserve(out, len / 4 * 3);
    for (size_t i = 0; st == OK && i < len; i += 4) {
        size_t pad =
            i + 4 < len ? 0
                        : (size_t)(text[i + 3] == '=') + (text[i + 2] == '=' && text[i + 3] == '=');
        uint32_t bits = 0;
        for (size_t k = 0; k < 4; k++) {
            int v = k < 4 - pad ? letter_value(text[i + k]) : 0;
            if (v < 0) return ERR_FORMAT;
            bits = bits << 6 | (uint32_t)v;
        }
        if (bits & ((1u << 8 * pad) - 1)) return ERR_FORMAT; /* bits that no byte takes */
        const unsigned char three[] = {(unsigned char)(bits >> 16), (unsigned char)(bits >> 8),
                                       (unsigned char)bits};
        st = buf_append(out, three, 3 - pad);
    }
    return st;
}

enum status base64_decode_exact(const char *text, size_t len, uint8_t *dst, size_t size)
{
    struct buf b;
    buf_init(&b, size + 3);
    enum status st = base64_decode(text, len, &b);
    if (st == OK && b.len != size) st = ERR_FORMAT;
    if (st == OK && size) memcpy(dst, b.data, size);
    if (b.data) explicit_bzero(b.data, b.len); /* it may be a secret key */
    buf_fini(&b);
    return st == ERR_LIMIT ? ERR_FORMAT : st;
}

enum status base64_encode(const void *data, size_t len, struct buf *out)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = data;
    enum status st = buf_reserve(out, (len + 2) / 3 * 4);
    for (size_t i = 0; st == OK && i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t bits =
            (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);
        const char four[] = {letters[bits >> 18], letters[bits >> 12 & 63],
                             n > 1 ? letters[bits >> 6 & 63] : '=',
                             n > 2 ? letters[bits & 63] : '='};
        st = buf_append(out, four, 4);
    }
    return st;
}
