/* OpenSSL's newer interface does not show a hash's state; the older one does, and is as fast. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/sha256_chain.h"

#include <stdlib.h>
#include <string.h>

void sha256_chain_init(struct sha256_chain *c)
{
    sha256_chain_fini(c);
    c->begun = SHA256_Init(&c->ctx) == 1;
    c->step = SHA256_CHAIN_MIN_STEP;
}

void sha256_chain_fini(struct sha256_chain *c)
{
    free(c->states);
    *c = (struct sha256_chain){0};
}

/* Big-endian, as the digest itself is written. */
static void state_store(const SHA256_CTX *ctx, uint8_t out[SHA256_BYTES])
{
    for (size_t i = 0; i < 8; i++) {
        uint32_t h = (uint32_t)ctx->h[i];
        for (size_t b = 0; b < 4; b++) out[4 * i + b] = (uint8_t)(h >> (24 - 8 * b));
    }
}

static void state_load(SHA256_CTX *ctx, const uint8_t in[SHA256_BYTES], uint64_t bytes)
{
    SHA256_Init(ctx);
    for (size_t i = 0; i < 8; i++) {
        const uint8_t *p = in + 4 * i;
        ctx->h[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    ctx->Nl = (SHA_LONG)(bytes << 3);
    ctx->Nh = (SHA_LONG)(bytes >> 29);
}

static void forget_states(struct sha256_chain *c)
{
    free(c->states);
    c->states = NULL;
    c->n = c->cap = 0;
    c->lost = true;
}

/* Every second state goes, so that small files have fine steps and large ones few. */
static void thin_out(struct sha256_chain *c)
{
    for (size_t i = 1; 2 * i <= c->n; i++)
        memmove(c->states + (i - 1) * SHA256_BYTES, c->states + (2 * i - 1) * SHA256_BYTES,
                SHA256_BYTES);
    c->n /= 2;
    c->step *= 2;
}

static void keep_state(struct sha256_chain *c)
{
    if (c->lost || c->bytes % c->step != 0) return;
    if (c->n >= SHA256_CHAIN_FEW && c->step < SHA256_CHAIN_MAX_STEP) {
        thin_out(c);
        if (c->bytes % c->step != 0) return;
    }
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 64;
        uint8_t *p = cap <= SHA256_CHAIN_MAX ? realloc(c->states, cap * SHA256_BYTES) : NULL;
        if (!p) {
            forget_states(c);
            return;
        }
        c->states = p;
        c->cap = cap;
    }
    state_store(&c->ctx, c->states + c->n++ * SHA256_BYTES);
}

void sha256_chain_update(struct sha256_chain *c, const void *data, size_t len)
{
    const uint8_t *p = data;
    if (!c->begun) return;
    while (len) {
        /* The state at a boundary is kept when more follows: the end has none of its own. */
        if (c->bytes) keep_state(c);
        size_t room = (size_t)(SHA256_CHAIN_MIN_STEP - c->bytes % SHA256_CHAIN_MIN_STEP);
        size_t n = len < room ? len : room;
        SHA256_Update(&c->ctx, p, n);
        c->bytes += n;
        p += n;
        len -= n;
    }
}

enum status sha256_chain_final(struct sha256_chain *c, uint8_t digest[SHA256_BYTES])
{
    if (!c->begun) return ERR_INVALID;
    c->begun = false;
    SHA256_Final(digest, &c->ctx);
    return OK;
}

size_t sha256_chain_pieces(const struct sha256_chain *c)
{
    return c->n + 1;
}

size_t sha256_chain_piece_bytes(const struct sha256_chain *c, size_t i)
{
    return i < c->n ? (size_t)c->step : (size_t)(c->bytes - c->n * c->step);
}

bool sha256_chain_piece_good(const struct sha256_chain *c, size_t i, const void *data,
                             const uint8_t digest[SHA256_BYTES])
{
    SHA256_CTX ctx;
    uint8_t got[SHA256_BYTES];
    if (i == 0)
        SHA256_Init(&ctx);
    else
        state_load(&ctx, c->states + (i - 1) * SHA256_BYTES, i * c->step);
    SHA256_Update(&ctx, data, sha256_chain_piece_bytes(c, i));
    if (i == c->n) {
        SHA256_Final(got, &ctx);
        return memcmp(got, digest, SHA256_BYTES) == 0;
    }
    state_store(&ctx, got);
    return memcmp(got, c->states + i * SHA256_BYTES, SHA256_BYTES) == 0;
}
