#include "store/chain_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/checked.h"
#include "base/file.h"

static const char magic[8] = "HRTHCHN1";
enum { HEAD_BYTES = 8 + 8 + 8 + SHA256_BYTES };
#define MAX_FILE_BYTES (HEAD_BYTES + ((size_t)SHA256_CHAIN_MAX + 1) * SHA256_BYTES)

static void put_u64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_u64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

enum status chain_write(const struct store *s, const char *digest, const struct sha256_chain *c,
                        struct error *err)
{
    if (c->lost) return OK;
    char *path = NULL;
    size_t states = c->n * SHA256_BYTES, len = HEAD_BYTES + states + SHA256_BYTES;
    uint8_t *data = malloc(len);
    if (!data) return error_set(err, ERR_NOMEM, "out of memory");
    memcpy(data, magic, sizeof magic);
    put_u64(data + 8, c->step);
    put_u64(data + 16, c->bytes);
    enum status st = sha256_from_hex(digest, data + 24) ? OK : ERR_INVALID;
    if (c->n) memcpy(data + HEAD_BYTES, c->states, states);
    if (st == OK) st = sha256_of(data, HEAD_BYTES + states, data + HEAD_BYTES + states);
    if (st)
        error_set(err, st, "cannot describe the blob %.80s", digest);
    else
        st = store_path(s, STORE_CHAIN, digest, &path, err);
    if (st == OK) st = store_make_parent(path, err);
    if (st == OK) st = file_replace(path, data, len, err);
    free(data);
    free(path);
    return st;
}

static enum status parse(const char *digest, const struct buf *b, struct sha256_chain *out)
{
    const uint8_t *p = (const uint8_t *)b->data;
    uint8_t want[SHA256_BYTES], sum[SHA256_BYTES];
    if (b->len < HEAD_BYTES + SHA256_BYTES || memcmp(p, magic, sizeof magic) != 0) return ERR_FORMAT;
    size_t body = b->len - SHA256_BYTES, states = body - HEAD_BYTES;
    uint64_t step = get_u64(p + 8), bytes = get_u64(p + 16);
    if (sha256_of(p, body, sum) != OK) return ERR_NOMEM;
    if (memcmp(sum, p + body, sizeof sum) != 0) return ERR_FORMAT;
    if (!sha256_from_hex(digest, want) || memcmp(want, p + 24, sizeof want) != 0) return ERR_FORMAT;
    if (step < SHA256_CHAIN_MIN_STEP || step > SHA256_CHAIN_MAX_STEP || (step & (step - 1)) != 0)
        return ERR_FORMAT;
    uint64_t n = bytes ? (bytes - 1) / step : 0;
    if (n > SHA256_CHAIN_MAX || states != n * SHA256_BYTES) return ERR_FORMAT;
    if (n && !(out->states = malloc(states))) return ERR_NOMEM;
    if (n) memcpy(out->states, p + HEAD_BYTES, states);
    out->n = out->cap = (size_t)n;
    out->step = step;
    out->bytes = bytes;
    return OK;
}

enum status chain_read(const struct store *s, const char *digest, struct sha256_chain *out,
                       struct error *err)
{
    char *path;
    struct buf b;
    *out = (struct sha256_chain){0};
    enum status st = store_path(s, STORE_CHAIN, digest, &path, err);
    if (st) return st;
    buf_init(&b, MAX_FILE_BYTES);
    st = file_read_all(path, &b, err);
    if (st == OK && (st = parse(digest, &b, out)) != OK)
        error_set(err, st, "%s is not what it should be", path);
    buf_fini(&b);
    free(path);
    return st;
}

void chain_remove(const struct store *s, const char *digest)
{
    char *path;
    if (store_path(s, STORE_CHAIN, digest, &path, NULL) == OK) unlink(path);
    free(path);
}
