#include "base/sha256.h"

#include <openssl/evp.h>
#include <string.h>

enum status sha256_init(struct sha256 *s)
{
    s->ctx = EVP_MD_CTX_new();
    if (!s->ctx) return ERR_NOMEM;
    if (EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) == 1) return OK;
    sha256_fini(s);
    return ERR_NOMEM;
}

void sha256_update(struct sha256 *s, const void *data, size_t len)
{
    if (!s->ctx || len == 0) return;
    if (EVP_DigestUpdate(s->ctx, data, len) != 1) sha256_fini(s);
}

enum status sha256_final(struct sha256 *s, uint8_t digest[SHA256_BYTES])
{
    if (!s->ctx) return ERR_NOMEM;
    unsigned n = 0;
    bool ok = EVP_DigestFinal_ex(s->ctx, digest, &n) == 1 && n == SHA256_BYTES;
    sha256_fini(s);
    return ok ? OK : ERR_NOMEM;
}

void sha256_fini(struct sha256 *s)
{
    EVP_MD_CTX_free(s->ctx);
    s->ctx = NULL;
}

enum status sha256_of(const void *data, size_t len, uint8_t digest[SHA256_BYTES])
{
    struct sha256 s;
    enum status st = sha256_init(&s);
    if (st) return st;
    sha256_update(&s, data, len);
    return sha256_final(&s, digest);
}

void sha256_hex(const uint8_t digest[SHA256_BYTES], char hex[SHA256_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[2 * SHA256_BYTES] = 0;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool sha256_from_hex(const char *hex, uint8_t digest[SHA256_BYTES])
{
    if (strlen(hex) != 2 * SHA256_BYTES) return false;
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        int hi = digit_value(hex[2 * i]), lo = digit_value(hex[2 * i + 1]);
        if (hi < 0 || lo < 0) return false;
        digest[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}
