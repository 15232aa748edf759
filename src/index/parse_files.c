#include "index/parse_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "index/refs.h"

enum {
    TRIES = 3,
    GRAIN_NS = 20000000, /* file times advance by the kernel's tick, 10 ms at most */
    BINARY_PROBE = 8000, /* bytes, as git looks for a NUL */
    MAX_REFS = 32 << 20,
};

struct parse_stat parse_stat_of(const struct stat *st)
{
    return (struct parse_stat){.size = st->st_size,
                               .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
                               .ctime_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec,
                               .inode = st->st_ino};
}

static bool same_stat(const struct parse_stat *a, const struct parse_stat *b)
{
    return a->size == b->size && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns && a->inode == b->inode;
}

/* All bytes of a file that is at most `max` long. ERR_IO for what the system refuses. */
static enum status read_fd(int fd, uint64_t max, struct buf *out)
{
    for (;;) {
        enum status st = buf_reserve(out, 65536);
        if (st) return st;
        ssize_t n = read(fd, out->data + out->len, 65536);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return ERR_IO;
        if (n == 0) return OK;
        out->len += (size_t)n;
        out->data[out->len] = 0;
        if (out->len > max) return ERR_LIMIT;
    }
}

static enum status read_stable(int root, const char *path, uint64_t max, struct parsed *p)
{
    for (int i = 0; i < TRIES; i++) {
        struct stat before, after;
        int fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || fstat(fd, &before) != 0 || !S_ISREG(before.st_mode)) {
            p->result = fd >= 0 || errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? PARSE_GONE : PARSE_FAILED;
            if (fd >= 0) close(fd);
            return OK;
        }
        buf_clear(&p->text);
        enum status st = read_fd(fd, max, &p->text);
        bool stated = fstat(fd, &after) == 0;
        close(fd);
        if (st == ERR_NOMEM) return st;
        if (st == ERR_IO) {
            p->result = PARSE_FAILED;
            return OK;
        }
        struct parse_stat a = parse_stat_of(&before), b = parse_stat_of(&after);
        if (st == OK && stated && same_stat(&a, &b) && (uint64_t)b.size == p->text.len) {
            struct timespec now;
            clock_gettime(CLOCK_REALTIME, &now);
            int64_t t = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
            p->stat = b;
            if (t - b.mtime_ns < GRAIN_NS || t - b.ctime_ns < GRAIN_NS) p->stat.mtime_ns = p->stat.ctime_ns = 0;
            p->result = PARSE_NEW;
            return OK;
        }
    }
    p->result = PARSE_UNSTABLE;
    return OK;
}

/* What makes a chunk the same everywhere: all that is indexed of it. */
static enum status hash_chunks(struct parsed *p)
{
    const struct syntax_facts *f = p->facts;
    p->chunk_hashes = malloc((f->n_chunks ? f->n_chunks : 1) * sizeof *p->chunk_hashes);
    if (!p->chunk_hashes) return ERR_NOMEM;
    struct buf b;
    buf_init(&b, 256u << 20);
    enum status st = OK;
    for (size_t i = 0; i < f->n_chunks && st == OK; i++) {
        const struct syntax_chunk *c = &f->chunks[i];
        unsigned char kind = (unsigned char)c->kind;
        buf_clear(&b);
        st = buf_append(&b, &kind, 1);
        if (st == OK) st = buf_append(&b, c->name, strlen(c->name) + 1);
        if (st == OK) st = buf_append(&b, c->scope, strlen(c->scope) + 1);
        if (st == OK) st = buf_append(&b, p->text.data + c->begin, c->end - c->begin);
        if (st == OK) st = sha256_of(b.data, b.len, p->chunk_hashes[i]);
    }
    buf_fini(&b);
    return st;
}

enum status parse_file(int root, const char *path, uint64_t max_bytes, const uint8_t *known,
                       struct syntax_parser *parser, struct parsed *out)
{
    *out = (struct parsed){0};
    buf_init(&out->text, max_bytes + (1 << 17));
    buf_init(&out->refs, MAX_REFS);
    enum status st = read_stable(root, path, max_bytes, out);
    if (st || out->result != PARSE_NEW) return st;
    const char *text = out->text.data ? out->text.data : "";
    size_t len = out->text.len;
    st = sha256_of(text, len, out->hash);
    if (st) return st;
    if (known && memcmp(known, out->hash, SHA256_BYTES) == 0) {
        out->result = PARSE_SAME;
        return OK;
    }
    if (memchr(text, 0, len < BINARY_PROBE ? len : BINARY_PROBE)) {
        out->result = PARSE_BINARY;
        return OK;
    }
    struct error err;
    st = syntax_facts_read(parser, syntax_language_of(path, text, len < 256 ? len : 256), text, len, NULL,
                           &out->facts, &err);
    if (st == ERR_NOMEM) return st;
    if (st) {
        out->result = PARSE_BINARY; /* nothing that can be cut up */
        return OK;
    }
    st = hash_chunks(out);
    if (st == OK) st = refs_write(out->facts, &out->refs);
    return st == ERR_LIMIT ? OK : st;
}

void parsed_fini(struct parsed *p)
{
    buf_fini(&p->text);
    buf_fini(&p->refs);
    syntax_facts_destroy(p->facts);
    free(p->chunk_hashes);
    *p = (struct parsed){0};
}
