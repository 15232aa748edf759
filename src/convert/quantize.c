#include "convert/quantize.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/pool.h"
#include "convert/quantize_keys.h"
#include "gguf/gguf_write.h"
#include "quant/quant.h"

/* Elements that a thread reads, encodes and writes at a time; at least one row. */
enum { CHUNK_ELEMS = 1 << 16 };

/* A tensor's way from file to file, in chunks of rows. */
struct job {
    const struct gguf_tensor *src;
    const struct quant_traits *from, *to;
    const float *weights; /* [matrices][cols], or NULL */
    uint64_t cols, rows, rows_a_matrix, rows_a_chunk;
    uint64_t first_chunk, n_chunks;
    _Atomic uint64_t left; /* chunks */
    bool copied;           /* bytes as they are */
};

struct loss {
    double error, squares;
};

struct run {
    const struct quantize_request *rq;
    const struct gguf *g;
    struct gguf_writer *w;
    struct job *jobs;
    size_t n_jobs;
    struct loss *loss; /* [n_chunks]: summed in order, so that the sum has one value */
    uint64_t n_chunks, bytes_total;
    _Atomic uint64_t next, bytes_done;
    atomic_bool stop;
    pthread_mutex_t lock; /* of what follows */
    struct error err;
    uint64_t err_chunk; /* the first that failed: which is reported does not depend on threads */
};

/* A thread's buffers. */
struct scratch {
    float *values, *decoded;
    uint8_t *blocks;
    uint64_t cap; /* elements */
};

/* ---- one chunk --------------------------------------------------------------------------------
 */

static void fail(struct run *r, uint64_t chunk, const struct error *err)
{
    pthread_mutex_lock(&r->lock);
    if (!r->err.code || chunk < r->err_chunk) {
        r->err = *err;
        r->err_chunk = chunk;
    }
    pthread_mutex_unlock(&r->lock);
    atomic_store(&r->stop, true);
}

static enum status grow(struct scratch *s, uint64_t elems, struct error *err)
{
    uint64_t bytes;
    if (elems <= s->cap) return OK;
    free(s->values);
    free(s->decoded);
    free(s->blocks);
    *s = (struct scratch){0};
    if (!checked_mul(elems, sizeof(float), &bytes) || bytes > SIZE_MAX)
        return error_set(err, ERR_LIMIT, "a row of %" PRIu64 " elements is too long", elems);
    s->values = malloc(bytes);
    s->decoded = malloc(bytes);
    s->blocks = malloc(bytes); /* no type takes more than F32 */
    if (!s->values || !s->decoded || !s->blocks) {
        free(s->values);
        free(s->decoded);
        free(s->blocks);
        *s = (struct scratch){0};
        return error_set(err, ERR_NOMEM, "out of memory");
    }
    s->cap = elems;
    return OK;
}

static uint64_t bytes_of(const struct quant_traits *t, uint64_t elems)
{
    return elems / t->block_elems * t->block_bytes;
}

/* Why an encoder refused; `row` of the tensor. */
static enum status refuse(const struct run *r, const struct job *j, const float *x, uint64_t row,
                          struct error *err)
{
    uint64_t i = 0;
    float largest = 0;
    for (uint64_t c = 0; c < j->cols; c++) {
        if (isfinite(x[c]) && fabsf(x[c]) <= fabsf(largest)) continue;
        i = c;
        largest = x[c];
        if (!isfinite(x[c])) break;
    }
    int len = j->src->name.len > 200 ? 200 : (int)j->src->name.len;
    if (!isfinite(largest))
        return error_set(err, ERR_FORMAT,
                         "%s: tensor '%.*s' holds %f at row %" PRIu64 ", column %" PRIu64
                         ": the file is damaged, or the model's training went wrong",
                         gguf_path(r->g), len, j->src->name.data, (double)largest, row, i);
    return error_set(err, ERR_INVALID,
                     "%s: tensor '%.*s' holds %g at row %" PRIu64 ", column %" PRIu64
                     ", more than %s can: give it another type with --tensor-type",
                     gguf_path(r->g), len, j->src->name.data, (double)largest, row, i, j->to->name);
}

static enum status encode_rows(const struct run *r, const struct job *j, uint64_t row,
                               uint64_t n_rows, struct scratch *s, struct error *err)
{
    uint64_t row_bytes = bytes_of(j->to, j->cols);
    for (uint64_t i = 0; i < n_rows; i++) {
        const float *x = s->values + i * j->cols;
        const float *w = j->weights ? j->weights + (row + i) / j->rows_a_matrix * j->cols : NULL;
        if (!j->to->encode(x, w, s->blocks + i * row_bytes, j->cols / j->to->block_elems))
            return refuse(r, j, x, row + i, err);
    }
    return OK;
}

static struct loss measure(const struct job *j, uint64_t elems, struct scratch *s)
{
    struct loss sum = {0};
    j->to->decode(s->blocks, s->decoded, elems / j->to->block_elems);
    for (uint64_t i = 0; i < elems;) {
        /* Short sums in float: the compiler has no leave to reorder, four chains keep it busy. */
        double e[4] = {0}, q[4] = {0};
        uint64_t end = i + 256 < elems ? i + 256 : elems;
        for (; i + 4 <= end; i += 4)
            for (int l = 0; l < 4; l++) {
                double x = s->values[i + l], d = x - s->decoded[i + l];
                e[l] += d * d;
                q[l] += x * x;
            }
        for (; i < end; i++) {
            double x = s->values[i], d = x - s->decoded[i];
            e[0] += d * d;
            q[0] += x * x;
        }
        sum.error += (e[0] + e[1]) + (e[2] + e[3]);
        sum.squares += (q[0] + q[1]) + (q[2] + q[3]);
    }
    return sum;
}

static enum status do_chunk(struct run *r, struct job *j, uint64_t chunk, struct scratch *s,
                            struct error *err)
{
    uint64_t row = (chunk - j->first_chunk) * j->rows_a_chunk;
    uint64_t n_rows = j->rows - row < j->rows_a_chunk ? j->rows - row : j->rows_a_chunk;
    uint64_t elems = n_rows * j->cols;
    uint64_t in = bytes_of(j->from, row * j->cols), in_bytes = bytes_of(j->from, elems);
    uint64_t out = bytes_of(j->to, row * j->cols), out_bytes = bytes_of(j->to, elems);
    size_t index = (size_t)(j - r->jobs);
    enum status st = OK;
    if (j->copied) {
        st = gguf_writer_put(r->w, index, out, j->src->data + in, in_bytes, err);
    } else {
        st = grow(s, elems, err);
        if (!st) {
            j->from->decode(j->src->data + in, s->values, elems / j->from->block_elems);
            st = encode_rows(r, j, row, n_rows, s, err);
        }
        if (!st) st = gguf_writer_put(r->w, index, out, s->blocks, out_bytes, err);
        if (!st && j->to != j->from) r->loss[chunk] = measure(j, elems, s);
    }
    if (st) return st;
    atomic_fetch_add(&r->bytes_done, in_bytes);
    if (atomic_fetch_sub(&j->left, 1) == 1) gguf_tensor_release_pages(r->g, j->src);
    return OK;
}

static void work(void *ctx, int thread)
{
    struct run *r = ctx;
    struct scratch s = {0};
    size_t j = 0;
    const struct quantize_request *rq = r->rq;
    while (!atomic_load(&r->stop)) {
        uint64_t chunk = atomic_fetch_add(&r->next, 1);
        if (chunk >= r->n_chunks) break;
        while (chunk - r->jobs[j].first_chunk >= r->jobs[j].n_chunks) j++;
        struct error err = {0};
        if (do_chunk(r, &r->jobs[j], chunk, &s, &err)) fail(r, chunk, &err);
        if (thread == 0 && rq->progress &&
            !rq->progress(rq->ctx, atomic_load(&r->bytes_done), r->bytes_total)) {
            error_set(&err, ERR_CANCELLED, "stopped; %s was not written", rq->out);
            fail(r, UINT64_MAX, &err);
        }
    }
    free(s.values);
    free(s.decoded);
    free(s.blocks);
}

/* ---- what is to be done -----------------------------------------------------------------------
 */

static bool is_quantized(uint32_t type)
{
    return quant_find(type)->block_elems > 1;
}

static bool is_embedding(const char *name)
{
    return strcmp(name, "token_embd.weight") == 0 || strcmp(name, "output.weight") == 0 ||
           strcmp(name, "per_layer_token_embd.weight") == 0;
}

/* The importance of the tensor's columns, or NULL. */
static enum status find_weights(const struct quantize_request *rq, struct quantize_outcome *o,
                                struct quantize_result *res, const float **weights,
                                struct error *err)
{
    const struct quantize_tensor *t = &o->plan;
    *weights = NULL;
    if (!rq->imatrix || !is_quantized(t->to)) return OK;
    const struct column_weight *e = column_weights_find(rq->imatrix, t->name);
    bool embedding = is_embedding(t->name);
    if (!e) {
        res->n_unweighted += !embedding;
        return OK;
    }
    uint64_t matrices = t->ne[2] * t->ne[3];
    if (e->n != t->ne[0] * matrices || e->columns % t->ne[0]) {
        if (embedding) return OK;
        return error_set(err, ERR_INVALID,
                         "the importance matrix has %" PRIu64 " values for '%s', which has %" PRIu64
                         " columns in %" PRIu64 " matrices: it belongs to another model",
                         e->n, t->name, t->ne[0], matrices);
    }
    *weights = e->values;
    o->weighted = true;
    return OK;
}

static enum status check_change(const struct quantize_request *rq, const struct quantize_tensor *t,
                                struct quantize_result *res, struct error *err)
{
    const struct quant_traits *to = quant_find(t->to), *from = quant_find(t->from);
    res->n_fallback += t->to != t->wanted;
    if (t->to == t->from) return OK;
    if (!to->encode)
        return error_set(err, ERR_UNSUPPORTED, "tensor '%s': Hearth reads %s but does not write it",
                         t->name, to->name);
    if (!is_quantized(t->from) || !is_quantized(t->to)) return OK;
    res->n_requantized++;
    if (!rq->allow_requantize)
        return error_set(err, ERR_INVALID,
                         "%s: tensor '%s' is quantized already (%s); take a file in F16, BF16 or "
                         "F32, or accept the loss with --allow-requantize",
                         rq->in, t->name, from->name);
    return OK;
}

static enum status list_tensors(const struct gguf *g, struct quantize_result *res,
                                struct error *err)
{
    size_t n = gguf_n_tensors(g);
    res->tensors = calloc(n + 1, sizeof *res->tensors);
    if (!res->tensors) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++, res->n++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        struct quantize_outcome *o = &res->tensors[i];
        o->plan = (struct quantize_tensor){.n_dims = t->n_dims, .from = t->type};
        memcpy(o->plan.ne, t->ne, sizeof o->plan.ne);
        o->bytes_in = t->size;
        o->plan.name = strndup(t->name.data, t->name.len);
        if (!o->plan.name) return error_set(err, ERR_NOMEM, "out of memory");
        if (strlen(o->plan.name) != t->name.len) {
            res->n++;
            return error_set(err, ERR_FORMAT, "%s: tensor '%s' has a zero byte in its name",
                             gguf_path(g), o->plan.name);
        }
    }
    return OK;
}

static enum status plan(const struct quantize_request *rq, const struct gguf *g,
                        struct quantize_result *res, struct error *err)
{
    enum status st = list_tensors(g, res, err);
    if (st) return st;
    struct quantize_choices choices = rq->choices;
    struct quantize_model m;
    choices.weighted = rq->imatrix != NULL;
    quantize_model_of(g, &m);
    struct quantize_tensor *plans = calloc(res->n + 1, sizeof *plans);
    if (!plans) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < res->n; i++) plans[i] = res->tensors[i].plan;
    st = quantize_plan(&choices, &m, plans, res->n, err);
    for (size_t i = 0; !st && i < res->n; i++) {
        res->tensors[i].plan = plans[i];
        st = check_change(rq, &plans[i], res, err);
    }
    free(plans);
    return st;
}

/* Describes all tensors to the writer and makes their jobs. */
static enum status make_jobs(struct run *r, struct quantize_result *res, struct error *err)
{
    r->jobs = calloc(res->n + 1, sizeof *r->jobs);
    if (!r->jobs) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < res->n; i++) {
        struct quantize_outcome *o = &res->tensors[i];
        const struct gguf_tensor *t = gguf_tensor_at(r->g, i);
        struct job *j = &r->jobs[r->n_jobs++];
        *j = (struct job){.src = t,
                          .from = quant_find(t->type),
                          .to = quant_find(o->plan.to),
                          .cols = t->ne[0],
                          .rows = t->ne[1] * t->ne[2] * t->ne[3], /* they lie in the file */
                          .rows_a_matrix = t->ne[1],
                          .first_chunk = r->n_chunks};
        enum status st = find_weights(r->rq, o, res, &j->weights, err);
        if (st) return st;
        j->copied = j->to == j->from && (j->from->block_elems > 1 || !j->to->encode);
        j->rows_a_chunk = j->cols < CHUNK_ELEMS ? CHUNK_ELEMS / j->cols : 1;
        j->n_chunks = (j->rows + j->rows_a_chunk - 1) / j->rows_a_chunk;
        j->left = j->n_chunks;
        r->n_chunks += j->n_chunks;
        r->bytes_total += t->size;
        res->elements += j->rows * j->cols;
        gguf_writer_tensor(r->w, o->plan.name, o->plan.to, t->n_dims, t->ne);
        o->bytes_out = gguf_writer_tensor_bytes(r->w, i);
    }
    res->file_out = gguf_writer_file_bytes(r->w);
    r->loss = calloc(r->n_chunks + 1, sizeof *r->loss);
    return r->loss ? OK : error_set(err, ERR_NOMEM, "out of memory");
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static enum status run_jobs(struct run *r, struct quantize_result *res, struct error *err)
{
    struct pool *pool = NULL;
    enum status st = gguf_writer_start(r->w, err);
    if (!st) st = pool_create(r->rq->n_threads, &pool, err);
    if (st) return st;
    pthread_mutex_init(&r->lock, NULL);
    pool_run(pool, work, r);
    pool_destroy(pool);
    pthread_mutex_destroy(&r->lock);
    if (r->err.code) return error_set(err, r->err.code, "%s", r->err.msg);
    for (size_t i = 0; i < r->n_jobs; i++)
        for (uint64_t c = 0; c < r->jobs[i].n_chunks; c++) {
            const struct loss *l = &r->loss[r->jobs[i].first_chunk + c];
            res->tensors[i].error += l->error;
            res->tensors[i].squares += l->squares;
        }
    st = gguf_writer_commit(r->w, err);
    r->w = NULL;
    return st;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

enum status quantize_file(const struct quantize_request *rq, struct quantize_result *out,
                          struct error *err)
{
    struct gguf *g = NULL;
    struct run r = {.rq = rq};
    *out = (struct quantize_result){0};
    if (!rq->dry_run && same_file(rq->in, rq->out))
        return error_set(err, ERR_INVALID, "%s would replace its own input: name another file",
                         rq->out);
    enum status st = gguf_open(rq->in, &g, err);
    if (st) return st;
    r.g = g;
    out->file_in = gguf_file_bytes(g);
    st = plan(rq, g, out, err);
    if (!st) st = gguf_writer_begin(rq->out, 0, &r.w, err);
    if (!st) st = quantize_keys(g, rq, r.w, err);
    if (!st) st = make_jobs(&r, out, err);
    if (!st && !rq->dry_run) st = run_jobs(&r, out, err);
    gguf_writer_abandon(r.w);
    free(r.jobs);
    free(r.loss);
    gguf_close(g);
    return st;
}

void quantize_result_fini(struct quantize_result *r)
{
    for (size_t i = 0; i < r->n; i++) free((char *)r->tensors[i].plan.name);
    free(r->tensors);
    *r = (struct quantize_result){0};
}
