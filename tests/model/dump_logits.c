/* dump_logits MODEL IDS.i32 OUT.f32 [THREADS [KV_TYPE]]: the logits of every position of one sequence, raw
 * float32 [n_ids][n_vocab], for tools/eval/kl.py. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf.h"
#include "model/model.h"

#define BATCH 512

/* Reads a file of int32; NULL with a message where it cannot. */
static int32_t *read_ids(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    int32_t *ids = NULL;
    if (!f || fseek(f, 0, SEEK_END)) goto out;
    long size = ftell(f);
    rewind(f);
    if (size < 4) goto out;
    *n = (size_t)size / 4;
    ids = malloc(*n * 4);
    if (ids && fread(ids, 4, *n, f) != *n) {
        free(ids);
        ids = NULL;
    }
out:
    if (!ids) fprintf(stderr, "dump_logits: cannot read ids from %s\n", path);
    if (f) fclose(f);
    return ids;
}

static enum status dump(struct forward *fw, struct kv_seq *seq, size_t n_vocab, const int32_t *ids,
                        size_t n, FILE *out, struct error *err)
{
    struct forward_row rows[BATCH];
    enum status st = OK;
    float *logits = malloc(BATCH * n_vocab * sizeof *logits);
    if (!logits) return error_set(err, ERR_NOMEM, "no memory for logits");
    for (size_t at = 0; at < n && st == OK; at += BATCH) {
        size_t k = n - at < BATCH ? n - at : BATCH;
        for (size_t i = 0; i < k; i++)
            rows[i] = (struct forward_row){.seq = seq, .token = ids[at + i], .logits = true};
        st = forward_run(fw, rows, k, logits, NULL, err);
        if (st == OK && fwrite(logits, sizeof *logits * n_vocab, k, out) != k)
            st = error_set(err, ERR_IO, "cannot write: %s", strerror(errno));
    }
    free(logits);
    return st;
}

int main(int argc, char **argv)
{
    struct error err = {0};
    struct model_options opt = {0};
    struct gguf *g = NULL;
    struct model *m = NULL;
    struct kv_pool *pool = NULL;
    struct kv_seq *seq = NULL;
    struct forward *fw = NULL;
    FILE *out = NULL;
    size_t n = 0;
    enum status st = ERR_IO;
    if (argc < 4 || argc > 6) {
        fprintf(stderr, "usage: dump_logits MODEL IDS.i32 OUT.f32 [THREADS [KV_TYPE]]\n");
        return 2;
    }
    int n_threads = argc >= 5 ? atoi(argv[4]) : 0;
    int32_t *ids = read_ids(argv[2], &n);
    if (!ids) return 1;
    opt.n_threads = n_threads;
    if (argc == 6) opt.kv_type = argv[5];
    if ((st = gguf_open(argv[1], &g, &err)) || (st = model_open(g, &opt, &m, &err)) ||
        (st = kv_pool_create(m, n, &pool, &err)) || (st = kv_seq_create(pool, &seq, &err)) ||
        (st = forward_create(m, n_threads, BATCH, &fw, &err)))
        goto out;
    out = fopen(argv[3], "wb");
    if (!out) {
        st = error_set(&err, ERR_IO, "cannot create %s: %s", argv[3], strerror(errno));
        goto out;
    }
    st = dump(fw, seq, model_info(m)->n_vocab, ids, n, out, &err);
    if (fclose(out) && st == OK) st = error_set(&err, ERR_IO, "cannot write %s", argv[3]);
out:
    if (st != OK) fprintf(stderr, "dump_logits: %s\n", err.msg);
    forward_destroy(fw);
    kv_seq_destroy(seq);
    kv_pool_destroy(pool);
    model_close(m);
    gguf_close(g);
    free(ids);
    return st == OK ? 0 : 1;
}
