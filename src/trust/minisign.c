#include "trust/minisign.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sha256.h"
#include "trust/base64.h"
#include "trust/minisign_key.h"

enum { CHUNK_BYTES = 1 << 20, BLOB_BYTES = 2 + 8 + MINISIGN_SIG_BYTES };
static const char untrusted[] = "untrusted comment: ", trusted[] = "trusted comment: ";

static bool starts(const char *line, size_t n, const char *prefix)
{
    return n >= strlen(prefix) && memcmp(line, prefix, strlen(prefix)) == 0;
}

enum status minisign_parse(const char *text, size_t len, const char *what, struct minisign *out,
                           struct error *err)
{
    const char *lines[4];
    size_t n[4], at = 0;
    uint8_t blob[BLOB_BYTES];
    memset(out, 0, sizeof *out);
    bool whole = len <= MINISIGN_MAX_BYTES && !memchr(text, 0, len);
    for (int i = 0; whole && i < 4; i++) whole = minisign_line(text, len, &at, &lines[i], &n[i]);
    if (!whole || at != len || !starts(lines[0], n[0], untrusted) ||
        !starts(lines[2], n[2], trusted) ||
        base64_decode_exact(lines[1], n[1], blob, sizeof blob) != OK ||
        base64_decode_exact(lines[3], n[3], out->global, sizeof out->global) != OK ||
        n[2] - (sizeof trusted - 1) >= sizeof out->comment)
        return error_set(err, ERR_FORMAT, "%s is no signature of minisign", what);
    out->prehashed = memcmp(blob, "ED", 2) == 0;
    if (!out->prehashed && memcmp(blob, "Ed", 2) != 0)
        return error_set(err, ERR_UNSUPPORTED, "%s is a minisign signature of an unknown kind",
                         what);
    memcpy(out->number, blob + 2, sizeof out->number);
    memcpy(out->sig, blob + 10, sizeof out->sig);
    memcpy(out->comment, lines[2] + sizeof trusted - 1, n[2] - (sizeof trusted - 1));
    for (int i = 0; i < TRUST_KEY_NUMBER_BYTES; i++)
        snprintf(out->id + 2 * i, 3, "%02X", out->number[TRUST_KEY_NUMBER_BYTES - 1 - i]);
    return OK;
}

static enum status hash_fd(int fd, EVP_MD_CTX *ctx, struct sha256 *sha, unsigned char *chunk,
                           const char *path, bool (*progress)(void *ctx, uint64_t done),
                           void *progress_ctx, struct error *err)
{
    uint64_t done = 0;
    for (;;) {
        ssize_t n = read(fd, chunk, CHUNK_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set(err, ERR_IO, "cannot read %s: %s", path, strerror(errno));
        if (n == 0) return OK;
        if (EVP_DigestUpdate(ctx, chunk, (size_t)n) != 1)
            return error_set(err, ERR_NOMEM, "cannot hash %s", path);
        if (sha) sha256_update(sha, chunk, (size_t)n);
        done += (uint64_t)n;
        if (progress && !progress(progress_ctx, done))
            return error_set(err, ERR_CANCELLED, "interrupted while hashing %s", path);
    }
}

enum status minisign_hash(const char *path, bool (*progress)(void *ctx, uint64_t done),
                          void *progress_ctx, uint8_t digest[BLAKE2B_BYTES], uint8_t *sha256,
                          struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat sb;
    if (fd < 0)
        return error_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open %s: %s", path,
                         strerror(errno));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char *chunk = malloc(CHUNK_BYTES);
    struct sha256 sha = {0};
    unsigned n = 0;
    enum status st = OK;
    if (fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode))
        st = error_set(err, ERR_UNSUPPORTED, "%s is no file; minisign signs single files", path);
    else if (!ctx || !chunk || EVP_DigestInit_ex(ctx, EVP_blake2b512(), NULL) != 1 ||
             (sha256 && sha256_init(&sha) != OK))
        st = error_set(err, ERR_NOMEM, "out of memory");
    if (st == OK)
        st = hash_fd(fd, ctx, sha256 ? &sha : NULL, chunk, path, progress, progress_ctx, err);
    if (st == OK && (EVP_DigestFinal_ex(ctx, digest, &n) != 1 || n != BLAKE2B_BYTES))
        st = error_set(err, ERR_NOMEM, "cannot hash %s", path);
    if (st == OK && sha256 && sha256_final(&sha, sha256) != OK)
        st = error_set(err, ERR_NOMEM, "cannot hash %s", path);
    sha256_fini(&sha);
    EVP_MD_CTX_free(ctx);
    free(chunk);
    close(fd);
    return st;
}

/* sig[64] and the comment, which the second signature covers. */
static size_t global_bytes(const uint8_t *sig, const char *comment,
                           uint8_t dst[MINISIGN_SIG_BYTES + MINISIGN_COMMENT_SIZE])
{
    size_t n = strlen(comment);
    memcpy(dst, sig, MINISIGN_SIG_BYTES);
    memcpy(dst + MINISIGN_SIG_BYTES, comment, n);
    return MINISIGN_SIG_BYTES + n;
}

enum status minisign_check(const struct minisign *m, const struct trust_key *k, const void *data,
                           size_t len, const char *what, struct error *err)
{
    uint8_t bytes[MINISIGN_SIG_BYTES + MINISIGN_COMMENT_SIZE];
    if (k->scheme != TRUST_MINISIGN || memcmp(k->number, m->number, sizeof m->number) != 0) {
        char words[64];
        return error_set(err, ERR_INTEGRITY, "%s names another key (%s) than the %s", what, m->id,
                         trust_key_words(k, words, sizeof words));
    }
    if (trust_key_check(k, data, len, m->sig, sizeof m->sig, NULL) != OK)
        return error_set(err, ERR_INTEGRITY,
                         "%s was not made by minisign key %s for these contents", what, k->id);
    size_t n = global_bytes(m->sig, m->comment, bytes);
    if (trust_key_check(k, bytes, n, m->global, sizeof m->global, NULL) != OK)
        return error_set(err, ERR_INTEGRITY, "the trusted comment of %s was changed", what);
    return OK;
}

enum status minisign_write(const struct trust_key *k, const uint8_t digest[BLAKE2B_BYTES],
                           const char *comment, struct buf *out, struct error *err)
{
    uint8_t blob[BLOB_BYTES] = "ED", bytes[MINISIGN_SIG_BYTES + MINISIGN_COMMENT_SIZE];
    struct buf sig, global;
    if (k->scheme != TRUST_MINISIGN)
        return error_set(err, ERR_INVALID, "minisign signatures take minisign keys");
    if (strlen(comment) >= MINISIGN_COMMENT_SIZE || strpbrk(comment, "\r\n"))
        return error_set(err, ERR_INVALID, "a trusted comment is one line of at most %d bytes",
                         MINISIGN_COMMENT_SIZE - 1);
    buf_init(&sig, MINISIGN_SIG_BYTES);
    buf_init(&global, MINISIGN_SIG_BYTES);
    enum status st = trust_key_sign(k, digest, BLAKE2B_BYTES, &sig, err);
    if (st == OK && sig.len == MINISIGN_SIG_BYTES) {
        memcpy(blob + 2, k->number, TRUST_KEY_NUMBER_BYTES);
        memcpy(blob + 10, sig.data, MINISIGN_SIG_BYTES);
        st = trust_key_sign(k, bytes, global_bytes(blob + 10, comment, bytes), &global, err);
    }
    if (st == OK) {
        st = buf_printf(out, "%ssignature made by Hearth with minisign key %s\n", untrusted, k->id);
        if (st == OK) st = base64_encode(blob, sizeof blob, out);
        if (st == OK) st = buf_printf(out, "\n%s%s\n", trusted, comment);
        if (st == OK) st = base64_encode(global.data, global.len, out);
        if (st == OK) st = buf_append_str(out, "\n");
        if (st) error_set(err, st, "no memory for the signature");
    }
    buf_fini(&sig);
    buf_fini(&global);
    return st;
}
