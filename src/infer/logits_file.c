#include "infer/logits_file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/file.h"

enum { MAGIC_BYTES = 8, HEAD_BYTES = MAGIC_BYTES + 12, HEAD_WORDS = 4 };
#define MAGIC  "_logits_"
#define NOTHING (-16.0f) /* ln of a probability that counts as none */
#define STEPS  65535.0f

/* ---- rows ------------------------------------------------------------------------------------- */

size_t logits_row_words(size_t n_vocab)
{
    return (n_vocab + 1) / 2 * 2 + HEAD_WORDS;
}

void logits_row_encode(const float *logits, size_t n_vocab, double lse, uint16_t *row)
{
    float max = -INFINITY, min = INFINITY;
    for (size_t i = 0; i < n_vocab; i++) {
        max = logits[i] > max ? logits[i] : max;
        min = logits[i] < min ? logits[i] : min;
    }
    if (!(min >= max + NOTHING)) min = max + NOTHING;
    float head[2] = {(max - min) / STEPS, (float)((double)min - lse)};
    float inverse = head[0] > 0 ? 1 / head[0] : 0;
    memcpy(row, head, sizeof head);
    row += HEAD_WORDS;
    if (n_vocab % 2) row[n_vocab] = 0;
    for (size_t i = 0; i < n_vocab; i++) {
        float step = logits[i] > min ? inverse * (logits[i] - min) : 0;
        row[i] = (uint16_t)(step < STEPS ? step + 0.5f : STEPS);
    }
}

static void read_head(const uint16_t *row, float *scale, float *least)
{
    memcpy(scale, row, sizeof *scale);
    memcpy(least, row + 2, sizeof *least);
}

size_t logits_row_decode(const uint16_t *row, size_t n_vocab, float *out)
{
    float scale, least;
    read_head(row, &scale, &least);
    row += HEAD_WORDS;
    size_t top = 0;
    for (size_t i = 0; i < n_vocab; i++) {
        float x = scale * (float)row[i] + least;
        out[i] = x > NOTHING ? x : -INFINITY;
        if (row[i] > row[top]) top = i;
    }
    return top;
}

double logits_row_nll(const uint16_t *row, int32_t token)
{
    float scale, least;
    read_head(row, &scale, &least);
    return -((double)scale * (double)row[HEAD_WORDS + token] + (double)least);
}

/* ---- sizes ------------------------------------------------------------------------------------ */

static size_t counted(const struct logits_info *i)
{
    return i->n_ctx - 1 - i->n_ctx / 2;
}

/* Bytes of a chunk's rows and of the whole file; false where they overflow. */
static bool sizes(const struct logits_info *i, uint64_t *chunk, uint64_t *all)
{
    uint64_t tokens, rows;
    return checked_mul(counted(i), 2 * (uint64_t)logits_row_words(i->n_vocab), chunk) &&
           checked_mul(*chunk, i->n_chunks, &rows) &&
           checked_mul(4 * (uint64_t)i->n_ctx, i->n_chunks, &tokens) &&
           checked_add(tokens, HEAD_BYTES, all) && checked_add(*all, rows, all);
}

/* ---- reading ---------------------------------------------------------------------------------- */

struct logits_file {
    struct file_map map;
    struct logits_info info;
    uint64_t chunk_bytes;
    const uint8_t *rows;
};

static enum status check(struct logits_file *f, const char *path, struct error *err)
{
    if (f->map.size < HEAD_BYTES || memcmp(f->map.data, MAGIC, MAGIC_BYTES) != 0)
        return error_set(err, ERR_FORMAT,
                         "%s is no file of kept predictions: make one with --save-logits, or with "
                         "llama-perplexity's --kl-divergence-base",
                         path);
    int32_t head[3];
    memcpy(head, f->map.data + MAGIC_BYTES, sizeof head);
    if (head[0] < 3 || head[1] < 1 || head[2] < 1)
        return error_set(err, ERR_FORMAT,
                         "%s: contexts of %d tokens, %d candidates and %d contexts make no sense",
                         path, head[0], head[1], head[2]);
    struct logits_info *i = &f->info;
    *i = (struct logits_info){(size_t)head[0], (size_t)head[1], (size_t)head[2],
                              (const int32_t *)(const void *)(f->map.data + HEAD_BYTES)};
    uint64_t all;
    if (!sizes(i, &f->chunk_bytes, &all) || all != f->map.size)
        return error_set(err, ERR_FORMAT,
                         "%s has %llu bytes, but its head tells of %zu contexts of %zu tokens and "
                         "%zu candidates: it is not complete, or damaged",
                         path, (unsigned long long)f->map.size, i->n_chunks, i->n_ctx, i->n_vocab);
    for (size_t t = 0; t < i->n_chunks * i->n_ctx; t++)
        if (i->tokens[t] < 0 || (size_t)i->tokens[t] >= i->n_vocab)
            return error_set(err, ERR_FORMAT, "%s: token %zu is %d, but there are %zu candidates",
                             path, t, i->tokens[t], i->n_vocab);
    f->rows = f->map.data + HEAD_BYTES + 4 * i->n_chunks * i->n_ctx;
    return OK;
}

enum status logits_file_open(const char *path, struct logits_file **out, struct error *err)
{
    *out = NULL;
    struct logits_file *f = calloc(1, sizeof *f);
    if (!f) return error_set(err, ERR_NOMEM, "out of memory for %s", path);
    enum status st = file_map_open(path, &f->map, err);
    if (st == OK) st = check(f, path, err);
    if (st != OK) {
        logits_file_close(f);
        return st;
    }
    *out = f;
    return OK;
}

void logits_file_close(struct logits_file *f)
{
    if (!f) return;
    file_map_close(&f->map);
    free(f);
}

const struct logits_info *logits_file_info(const struct logits_file *f)
{
    return &f->info;
}

const uint16_t *logits_file_rows(const struct logits_file *f, size_t chunk)
{
    return (const uint16_t *)(const void *)(f->rows + chunk * f->chunk_bytes);
}

/* ---- writing ---------------------------------------------------------------------------------- */

struct logits_writer {
    char *path, *tmp;
    int fd;
    uint64_t at, all;
    size_t row_bytes;
};

void logits_writer_abandon(struct logits_writer *w)
{
    if (!w) return;
    if (w->fd >= 0) {
        close(w->fd);
        unlink(w->tmp);
    }
    free(w->path);
    free(w->tmp);
    free(w);
}

static enum status os_error(const struct logits_writer *w, const char *verb, struct error *err)
{
    return error_set(err, ERR_IO, "cannot %s %s: %s", verb, w->path, strerror(errno));
}

static enum status append(struct logits_writer *w, const void *data, size_t len, struct error *err)
{
    enum status st = file_write_at(w->fd, w->path, w->at, data, len, err);
    if (st == OK) w->at += len;
    return st;
}

static enum status start(struct logits_writer *w, const struct logits_info *info, struct error *err)
{
    uint64_t chunk;
    if (info->n_ctx > INT32_MAX || info->n_vocab > INT32_MAX || info->n_chunks > INT32_MAX ||
        !sizes(info, &chunk, &w->all) || w->all > INT64_MAX)
        return error_set(err, ERR_LIMIT, "cannot write %s: no file is that large", w->path);
    w->row_bytes = 2 * logits_row_words(info->n_vocab);
    w->fd = mkostemp(w->tmp, O_CLOEXEC);
    if (w->fd < 0) return os_error(w, "create", err);
    enum status st = file_set_size(w->fd, w->path, w->all, err);
    if (st == OK) st = append(w, MAGIC, MAGIC_BYTES, err);
    int32_t head[3] = {(int32_t)info->n_ctx, (int32_t)info->n_vocab, (int32_t)info->n_chunks};
    if (st == OK) st = append(w, head, sizeof head, err);
    if (st == OK)
        st = append(w, info->tokens, info->n_ctx * info->n_chunks * sizeof *info->tokens, err);
    return st;
}

enum status logits_writer_begin(const char *path, const struct logits_info *info,
                                struct logits_writer **out, struct error *err)
{
    *out = NULL;
    struct logits_writer *w = calloc(1, sizeof *w);
    if (!w) return error_set(err, ERR_NOMEM, "out of memory for %s", path);
    w->fd = -1;
    w->path = strdup(path);
    if (asprintf(&w->tmp, "%s.tmp-XXXXXX", path) < 0) w->tmp = NULL;
    enum status st = w->path && w->tmp ? start(w, info, err)
                                       : error_set(err, ERR_NOMEM, "out of memory for %s", path);
    if (st != OK) {
        logits_writer_abandon(w);
        return st;
    }
    *out = w;
    return OK;
}

enum status logits_writer_put(struct logits_writer *w, const uint16_t *rows, size_t n,
                              struct error *err)
{
    return append(w, rows, n * w->row_bytes, err);
}

enum status logits_writer_commit(struct logits_writer *w, struct error *err)
{
    enum status st = OK;
    if (w->at != w->all)
        st = error_set(err, ERR_INVALID, "cannot write %s: rows are missing", w->path);
    if (st == OK && (fsync(w->fd) != 0 || rename(w->tmp, w->path) != 0))
        st = os_error(w, "write", err);
    if (st == OK) {
        close(w->fd);
        w->fd = -1;
        st = file_sync_parent(w->path, err);
    }
    logits_writer_abandon(w);
    return st;
}
