#include "infer/probe.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/machine.h"
#include "base/pool.h"
#include "infer/sampler.h"
#include "kern/kern.h"

/* A matrix's width, the rows of a batch (as in a session's chunks), and the outputs multiplied. */
enum { COLS = 2048, BATCH = 512, OUTPUTS = 2048 };
enum { TILES = (BATCH + KERN_TILE_MAX - 1) / KERN_TILE_MAX };
/* Positions that attention looks back on, the width of a head, and a vocabulary's size. */
enum { BEHIND = 1024, HEAD_MAX = 128, GROUP = 4, VOCAB = 131072 };
/* What a thread does to a product's rows in one go: the columns of a unit of panels, or a head. */
enum { PIECE = 64 };
enum { MAX_ROUNDS = 64, MAX_STAGES = 4096 };
/* Bytes from 0x20 to 0x3f: halves, floats and block scales of them are ordinary numbers, so that no
 * kernel meets a denormal, and other than equal bytes, they make a processor as warm as real
 * weights do. */
#define RANDOM_BITS   UINT64_C(0x1f1f1f1f1f1f1f1f)
#define FIXED_BITS    UINT64_C(0x2020202020202020)
#define CACHED_BYTES  ((size_t)8 << 20)
#define BETWEEN_BYTES ((size_t)96 << 20)
#define LARGE_STAGE   ((size_t)16 << 20) /* bytes: its start does not count */
#define SMALL_STAGE   ((size_t)1 << 20)

struct probe {
    int n_threads, rounds;
    double seconds; /* for one figure, at least */
    const struct kern_ops *ops;
    struct pool *pool;
    uint8_t *buffer; /* stands for weights, keys and values */
    size_t bytes;
    size_t at;             /* where the next batch takes its weights */
    struct kern_act batch; /* BATCH rows of COLS floats */
    float *floats;         /* the rows */
    float *outputs;        /* [BATCH][OUTPUTS], and of single rows */
    void **scratch;        /* [n_threads]: KERN_MATMUL_SCRATCH, or attention's */
    float *queries;        /* [n_threads][2][KERN_ATTN_MAX_Q * HEAD] */
    atomic_uint counters[MAX_STAGES];
};

/* ---- memory ---------------------------------------------------------------------------------- */

static void fill(void *ctx, int thread)
{
    struct probe *p = ctx;
    size_t share = p->bytes / (size_t)p->n_threads / 64 * 64;
    uint64_t *dst = (uint64_t *)(p->buffer + share * (size_t)thread), x = (uint64_t)thread + 1;
    for (size_t i = 0; i < share / 8; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        dst[i] = ((x ^ x >> 29) & RANDOM_BITS) | FIXED_BITS;
    }
}

static size_t buffer_bytes(bool quick)
{
    size_t bytes = (size_t)(quick ? 256 : 512) << 20;
    size_t several = (size_t)machine_cache_bytes() * (quick ? 2 : 4);
    if (several > bytes) bytes = several;
    uint64_t available = machine_available_bytes();
    if (available && bytes > available / 2) bytes = available / 2;
    return bytes & ~(((size_t)2 << 20) - 1);
}

static bool alloc_act(struct kern_act *a, size_t rows)
{
    bool ok = true;
    a->n_rows = rows;
    a->n_cols = COLS;
    for (int k = 0; k < KERN_ACT_FORMATS; k++) {
        size_t blocks = rows * COLS / 16 * sizeof(float);
        a->fmt[k].q = aligned_alloc(64, rows * COLS * (k == KERN_ACT_INT16 ? 2 : 1));
        a->fmt[k].scale = aligned_alloc(64, blocks);
        a->fmt[k].neg_sum = aligned_alloc(64, blocks);
        a->fmt[k].bias = aligned_alloc(64, blocks);
        ok = ok && a->fmt[k].q && a->fmt[k].scale && a->fmt[k].neg_sum && a->fmt[k].bias;
    }
    return ok;
}

static void free_act(struct kern_act *a)
{
    for (int k = 0; k < KERN_ACT_FORMATS; k++) {
        free(a->fmt[k].q);
        free(a->fmt[k].scale);
        free(a->fmt[k].neg_sum);
        free(a->fmt[k].bias);
    }
}

static bool alloc_all(struct probe *p)
{
    size_t n = (size_t)p->n_threads, attn = kern_attn_scratch_bytes(HEAD_MAX, 0);
    size_t scratch = attn > KERN_MATMUL_SCRATCH ? attn : KERN_MATMUL_SCRATCH;
    p->buffer = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p->buffer == MAP_FAILED) return false;
    p->floats = aligned_alloc(64, sizeof(float) * BATCH * COLS);
    p->outputs = aligned_alloc(64, sizeof(float) * BATCH * OUTPUTS);
    p->queries = aligned_alloc(64, sizeof(float) * n * 2 * KERN_ATTN_MAX_Q * HEAD_MAX);
    p->scratch = calloc(n, sizeof *p->scratch);
    bool ok = alloc_act(&p->batch, BATCH) && p->floats && p->outputs && p->queries && p->scratch;
    for (size_t t = 0; ok && t < n; t++)
        ok = (p->scratch[t] = aligned_alloc(64, (scratch + 63) / 64 * 64)) != NULL;
    return ok;
}

enum status probe_create(int n_threads, bool quick, struct probe **out, struct error *err)
{
    *out = NULL;
    struct probe *p = calloc(1, sizeof *p);
    if (!p) return error_set(err, ERR_NOMEM, "out of memory");
    p->n_threads = n_threads > 0 ? n_threads : machine_physical_cores();
    p->rounds = quick ? 3 : 5;
    p->seconds = quick ? 0.004 : 0.012;
    p->bytes = buffer_bytes(quick);
    p->buffer = MAP_FAILED;
    enum status st = kern_select(NULL, &p->ops, err);
    if (!st) st = pool_create(p->n_threads, &p->pool, err);
    if (!st && (p->bytes < 2 * CACHED_BYTES || !alloc_all(p)))
        st = error_set(err, ERR_NOMEM, "not enough free memory to measure this machine");
    if (st) {
        probe_destroy(p);
        return st;
    }
    pool_run(p->pool, fill, p);
    for (size_t i = 0; i < (size_t)BATCH * COLS; i++)
        p->floats[i] = (float)(int)(i * 2654435761u % 2001) / 1000 - 1;
    p->batch.f32 = p->floats;
    p->batch.f32_stride = COLS;
    for (int k = 0; k < KERN_ACT_FORMATS; k++)
        p->ops->act_quantize(&p->batch, (enum kern_act_format)k, 0, TILES);
    memset(p->outputs, 0, sizeof(float) * BATCH * OUTPUTS);
    memset(p->queries, 0, sizeof(float) * (size_t)p->n_threads * 2 * KERN_ATTN_MAX_Q * HEAD_MAX);
    *out = p;
    return OK;
}

void probe_destroy(struct probe *p)
{
    if (!p) return;
    pool_destroy(p->pool);
    if (p->buffer != MAP_FAILED) munmap(p->buffer, p->bytes);
    free_act(&p->batch);
    for (int t = 0; p->scratch && t < p->n_threads; t++) free(p->scratch[t]);
    free(p->scratch);
    free(p->floats);
    free(p->outputs);
    free(p->queries);
    free(p);
}

/* ---- timing ---------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds of fn on all threads: the better tenth of the rounds, after one that warms up. */
static double time_all(struct probe *p, void (*fn)(void *ctx, int thread), void *ctx)
{
    double t[MAX_ROUNDS], spent = 0;
    int n = 0;
    for (int i = -1; n < p->rounds || (n < MAX_ROUNDS && spent < p->seconds); i++) {
        for (size_t c = 0; c < MAX_STAGES; c++)
            atomic_store_explicit(&p->counters[c], 0, memory_order_relaxed);
        double start = clock_now();
        pool_run(p->pool, fn, ctx);
        double took = clock_now() - start;
        spent += took;
        if (i >= 0) t[n++] = took;
    }
    qsort(t, (size_t)n, sizeof *t, compare);
    return t[n / 10];
}

/* ---- one row: stages of panels, as a decode step walks through them ----------------------------
 */

struct reading {
    struct probe *p;
    const struct quant_traits *type;
    size_t panel_bytes, stage_panels, n_stages;
    size_t wrap; /* stages after which the weights begin again */
};

/* As forward_stages.c hands out panels. */
static bool take_panels(atomic_uint *n, int threads, size_t panels, size_t *p0, size_t *p1)
{
    unsigned at = atomic_load_explicit(n, memory_order_relaxed);
    do {
        if (at >= panels) return false;
        size_t left = panels - at, step = left / (2 * (size_t)threads) & ~(size_t)1;
        *p0 = at;
        *p1 = at + (step < 2 ? (left < 2 ? left : 2) : step);
    } while (!atomic_compare_exchange_weak_explicit(n, &at, (unsigned)*p1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static const uint8_t *stage_data(const struct reading *r, size_t stage)
{
    return r->p->buffer + stage % r->wrap * r->stage_panels * r->panel_bytes;
}

struct ahead {
    const uint8_t *at, *end;
};

static void fetch_ahead(void *ctx)
{
    struct ahead *a = ctx;
    for (int i = 0; i < 8 && a->at < a->end; i++, a->at += 64) __builtin_prefetch(a->at, 0, 2);
}

static void read_stages(void *ctx, int thread)
{
    struct reading *r = ctx;
    struct probe *p = r->p;
    struct kern_act act = p->batch;
    act.n_rows = 1;
    for (size_t s = 0; s < r->n_stages; s++) {
        struct kern_matrix w = {r->type, r->stage_panels * KERN_PANEL, COLS, stage_data(r, s)};
        for (size_t p0, p1; take_panels(&p->counters[s], p->n_threads, r->stage_panels, &p0, &p1);)
            p->ops->matmul(&w, &act, p->outputs, w.n_rows, p0, p1, p->scratch[thread]);
        const uint8_t *next = stage_data(r, s + 1);
        size_t far = r->stage_panels * r->panel_bytes / 2;
        struct ahead ahead = {next + far, next + far + (far < 262144 ? far : 262144)};
        pool_barrier_idle(p->pool, fetch_ahead, &ahead);
    }
}

/* Seconds to read about `bytes` of weights that stand in `span` bytes, in stages of about
 * `stage` bytes; how many bytes and stages it was. */
static double time_reading(struct probe *p, const struct quant_traits *type, size_t bytes,
                           size_t span, size_t stage, double *read, size_t *n_stages)
{
    struct reading r = {.p = p, .type = type, .panel_bytes = kern_panel_bytes(type, COLS)};
    size_t most = (size_t)BATCH * OUTPUTS / KERN_PANEL; /* outputs that there is room for */
    r.stage_panels = stage / r.panel_bytes;
    if (r.stage_panels > most) r.stage_panels = most;
    size_t stage_bytes = r.stage_panels * r.panel_bytes;
    r.wrap = span / stage_bytes;
    r.n_stages = bytes / stage_bytes;
    if (r.n_stages > MAX_STAGES) r.n_stages = MAX_STAGES;
    *read = (double)r.n_stages * (double)stage_bytes;
    *n_stages = r.n_stages;
    return time_all(p, read_stages, &r);
}

static void measure_reading(struct probe *p, const struct quant_traits *type,
                            const struct estimate_machine *m, struct estimate_rate *out)
{
    for (int i = 0; i < ESTIMATE_SIZES; i++) {
        double read;
        size_t n, span = (size_t)m->sizes[i];
        size_t stage = LARGE_STAGE < span / 4 ? LARGE_STAGE : span / 4;
        double t = time_reading(p, type, span < BETWEEN_BYTES ? BETWEEN_BYTES : span, span, stage,
                                &read, &n);
        out->read[i] = read / fmax(t - (double)n * m->stage, t / 2);
    }
}

/* What a stage costs beside its reading: many small stages against few large ones. */
static double measure_stage(struct probe *p, const struct quant_traits *type)
{
    double small_bytes, large_bytes;
    size_t n_small, n_large, span = BETWEEN_BYTES < p->bytes ? BETWEEN_BYTES : p->bytes;
    double small = time_reading(p, type, span, span, SMALL_STAGE, &small_bytes, &n_small);
    double large = time_reading(p, type, span, span, LARGE_STAGE, &large_bytes, &n_large);
    double each = (small - large * small_bytes / large_bytes) / (double)(n_small - n_large);
    return each > 0 ? each : 0;
}

/* ---- many rows ---------------------------------------------------------------------------------
 */

/* What a stage does, up to where: rows come from a product, whose columns the threads share out;
 * all threads quantize some of the rows, then all read all of them. What another core has just
 * written is slow to get, above all where the cores share no cache. */
enum part { PART_WRITE, PART_QUANTIZE, PART_MULTIPLY };

struct multiplying {
    struct probe *p;
    struct kern_matrix w;
    enum kern_act_format format;
    enum part last;
};

static void write_columns(struct probe *p, int thread)
{
    size_t n = COLS / (size_t)p->n_threads, c0 = n * (size_t)thread;
    for (size_t r = 0; r < BATCH; r++)
        for (size_t c = c0; c < c0 + n; c++) p->floats[r * COLS + c] = -p->floats[r * COLS + c];
}

static void multiply(void *ctx, int thread)
{
    struct multiplying *m = ctx;
    struct probe *p = m->p;
    write_columns(p, thread);
    pool_barrier(p->pool);
    if (m->last >= PART_QUANTIZE && m->format != KERN_ACT_FLOAT)
        for (size_t t = (size_t)thread; t < TILES; t += (size_t)p->n_threads)
            p->ops->act_quantize(&p->batch, m->format, t, t + 1);
    pool_barrier(p->pool);
    size_t p0, p1, panels = m->last >= PART_MULTIPLY ? OUTPUTS / KERN_PANEL : 0;
    while (take_panels(&p->counters[0], p->n_threads, panels, &p0, &p1))
        p->ops->matmul(&m->w, &p->batch, p->outputs, OUTPUTS, p0, p1, p->scratch[thread]);
}

static void measure_multiplying(struct probe *p, const struct quant_traits *type,
                                struct estimate_rate *out)
{
    size_t bytes = kern_panel_bytes(type, COLS) * (OUTPUTS / KERN_PANEL);
    if (p->at + bytes > p->bytes) p->at = 0;
    struct multiplying m = {
        p, {type, OUTPUTS, COLS, p->buffer + p->at}, kern_act_format(type, COLS), PART_WRITE};
    p->at += (bytes + 63) & ~(size_t)63;
    double t[3];
    for (; m.last <= PART_MULTIPLY; m.last++) t[m.last] = time_all(p, multiply, &m);
    out->batch_quantize = fmax(0, t[1] - t[0]) / ((double)BATCH * COLS);
    out->multiply = 2.0 * OUTPUTS * COLS * BATCH / fmax(t[2] - t[1], t[2] / 2);
}

/* ---- between the products ----------------------------------------------------------------------
 */

enum pass { PASS_NORM, PASS_QUANTIZE, PASS_ACTIVATE, PASS_MOVE };

struct passing {
    struct probe *p;
    enum pass what;
    size_t rows, shares; /* of a share of the batch; how many there are */
    size_t repeats;
    atomic_size_t turn;
};

static void pass_share(const struct passing *w, size_t share, bool back)
{
    struct probe *p = w->p;
    size_t first = share * w->rows, tile = first / KERN_TILE_MAX;
    struct kern_act act = p->batch;
    if (w->what == PASS_QUANTIZE) {
        if (w->rows == 1) act.n_rows = 1;
        p->ops->act_quantize(&act, KERN_ACT_32, tile,
                             tile + (w->rows == 1 ? 1 : w->rows / KERN_TILE_MAX));
        return;
    }
    size_t piece = w->what == PASS_NORM ? COLS : PIECE;
    for (size_t c = 0; c < COLS; c += piece)
        for (size_t r = first; r < first + w->rows; r++) {
            float *y = p->outputs + r * OUTPUTS + c;
            float *x = p->floats + r * COLS + c;
            if (w->what == PASS_NORM)
                p->ops->rms_norm(y, x, p->floats, COLS, 1e-5f);
            else if (w->what == PASS_ACTIVATE)
                p->ops->silu_mul(y, x, piece);
            else /* there and back, so that what is read was just written elsewhere */
                memcpy(back ? x : y, back ? y : x, piece * sizeof *x);
        }
}

/* In a batch the rows come from another thread, out of its cache: shares change hands. */
static void pass(void *ctx, int thread)
{
    struct passing *w = ctx;
    size_t turn = atomic_load_explicit(&w->turn, memory_order_relaxed);
    for (size_t k = 0; (size_t)thread < w->shares && k < w->repeats; k++)
        pass_share(w, ((size_t)thread + turn + k) % w->shares, turn % 2 != 0);
    pool_barrier(w->p->pool);
    if (thread == 0) atomic_fetch_add(&w->turn, 1);
}

/* Seconds for each float: of a row, which one thread does for itself, and of a batch. */
static void measure_pass(struct probe *p, enum pass what, double *single, double *batch)
{
    size_t tiles = BATCH / KERN_TILE_MAX, n = (size_t)p->n_threads;
    if (n > tiles) n = tiles;
    struct passing w = {
        .p = p, .what = what, .rows = tiles / n * KERN_TILE_MAX, .shares = n, .repeats = 1};
    *batch = time_all(p, pass, &w) / (double)(w.rows * n * COLS);
    struct passing one = {.p = p, .what = what, .rows = 1, .shares = 1, .repeats = 64};
    *single = time_all(p, pass, &one) / (double)(one.repeats * COLS);
}

/* ---- attention ---------------------------------------------------------------------------------
 */

struct attending {
    struct probe *p;
    size_t n_q, heads, width; /* heads of keys and values, shared out over the threads */
};

static void attend(void *ctx, int thread)
{
    struct attending *w = ctx;
    struct probe *p = w->p;
    enum { PAGES = BEHIND / KERN_KV_PAGE };
    const uint8_t *pages[PAGES];
    uint32_t n_kv[KERN_ATTN_MAX_Q];
    size_t half = kern_kv_bytes(KERN_KV_F16, w->width), page_bytes = 2 * half;
    float *q = p->queries + (size_t)thread * 2 * KERN_ATTN_MAX_Q * HEAD_MAX;
    for (size_t i = 0; i < w->n_q; i++) n_kv[i] = BEHIND;
    unsigned h;
    while ((h = atomic_fetch_add(&p->counters[0], 1)) < w->heads) {
        for (size_t i = 0; i < PAGES; i++)
            pages[i] = p->buffer + (h * (size_t)PAGES + i) % (p->bytes / page_bytes) * page_bytes;
        struct kern_attn a = {.q = q,
                              .out = q + KERN_ATTN_MAX_Q * HEAD_MAX,
                              .q_stride = w->width,
                              .out_stride = w->width,
                              .n_kv = n_kv,
                              .n_q = w->n_q,
                              .head_dim = w->width,
                              .scale = 0.1f,
                              .pages = pages,
                              .v_offset = half,
                              .scratch = p->scratch[thread]};
        p->ops->attention(&a);
    }
}

/* Of a query and a key, a part is the same for heads of any width: the exponential. */
static void measure_attention(struct probe *p, struct estimate_machine *m)
{
    size_t n = (size_t)p->n_threads;
    struct attending wide = {p, KERN_ATTN_MAX_Q, 4 * n, HEAD_MAX}, narrow = wide,
                     one = {p, GROUP, 64 * n, HEAD_MAX};
    narrow.width = HEAD_MAX / 2;
    double pairs = (double)BEHIND * (double)(wide.n_q * wide.heads);
    double t_wide = time_all(p, attend, &wide) / pairs, t = time_all(p, attend, &narrow) / pairs;
    m->attend_float = fmax(0, (t_wide - t) / (HEAD_MAX / 2));
    m->attend_pair = fmax(0, t - m->attend_float * (HEAD_MAX / 2));
    m->attend_read = 2.0 * (double)kern_kv_bytes(KERN_KV_F16, HEAD_MAX) * (BEHIND / KERN_KV_PAGE) *
                     (double)one.heads / time_all(p, attend, &one);
}

/* ---- drawing a token
 * ----------------------------------------------------------------------------- */

static enum status measure_choice(struct probe *p, struct estimate_machine *m, struct error *err)
{
    struct sampler *s;
    struct sample_params params = sample_params_default();
    enum status st = sampler_create(&params, VOCAB, &s, err);
    if (st) return st;
    double best = 0;
    for (int i = 0; i < p->rounds; i++) {
        for (size_t k = 0; k < VOCAB; k++) p->outputs[k] = p->floats[k];
        double start = clock_now();
        (void)sampler_draw(s, p->outputs);
        double t = clock_now() - start;
        if (i == 0 || t < best) best = t;
    }
    m->choose = best / VOCAB;
    sampler_destroy(s);
    return OK;
}

/* ---- all of it
 * ----------------------------------------------------------------------------------- */

enum status probe_measure(struct probe *p, const uint32_t *types, size_t n_types,
                          const volatile int *cancel, struct estimate_machine *out,
                          struct error *err)
{
    *out = (struct estimate_machine){.n_threads = p->n_threads,
                                     .sizes = {CACHED_BYTES, BETWEEN_BYTES, (double)p->bytes}};
    if (p->bytes <= 2 * BETWEEN_BYTES) out->sizes[1] = (double)p->bytes / 2;
    out->stage = measure_stage(p, quant_find(QUANT_Q8_0));
    measure_pass(p, PASS_NORM, &out->norm, &out->batch_norm);
    double unused; /* each type has its own way to quantize a batch */
    measure_pass(p, PASS_QUANTIZE, &out->quantize, &unused);
    measure_pass(p, PASS_ACTIVATE, &out->activate, &out->batch_activate);
    measure_pass(p, PASS_MOVE, &out->move, &out->batch_move);
    measure_attention(p, out);
    enum status st = measure_choice(p, out, err);
    for (size_t i = 0; i < n_types && !st && out->n_rates < ESTIMATE_MAX_TYPES; i++) {
        const struct quant_traits *type = quant_find(types[i]);
        if (!type || !kern_type_supported(type) || estimate_rate_find(out, types[i])) continue;
        if (cancel && *cancel) st = error_set(err, ERR_CANCELLED, "interrupted");
        if (st) break;
        struct estimate_rate *r = &out->rates[out->n_rates++];
        r->type = types[i];
        measure_reading(p, type, out, r);
        measure_multiplying(p, type, r);
    }
    return st;
}
