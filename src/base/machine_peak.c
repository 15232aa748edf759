/* What memory and the int8 units can do at best, measured in a moment. */
#include "base/machine.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/clock.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

enum { MAX_THREADS = 1024, ROUNDS = 4 };
#define ROUND_SECONDS 0.08

/* ---- several threads at once ----------------------------------------------------------------- */

/* Does a small piece of work of thread `id` and returns how much it was. */
typedef double (*piece_fn)(void *ctx, int id);

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
    double end; /* clock_now() at which the round ends; 0: do nothing */
};

struct worker {
    struct gate *gate;
    piece_fn piece;
    void *ctx;
    int id;
    double rate; /* work per second */
};

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    pthread_mutex_lock(&w->gate->lock);
    while (!w->gate->open) pthread_cond_wait(&w->gate->opened, &w->gate->lock);
    double end = w->gate->end;
    pthread_mutex_unlock(&w->gate->lock);
    double start = clock_now(), now = start, work = 0;
    while (now < end) {
        work += w->piece(w->ctx, w->id);
        now = clock_now();
    }
    w->rate = now > start ? work / (now - start) : 0;
    return NULL;
}

/* Work per second of n threads together over one round; 0 where they cannot be started. */
static double round_rate(int n, piece_fn piece, void *ctx)
{
    struct gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};
    struct worker *workers = calloc((size_t)n, sizeof *workers);
    pthread_t *threads = calloc((size_t)n, sizeof *threads);
    double rate = 0;
    if (!workers || !threads) goto out;
    for (int i = 0; i < n; i++)
        workers[i] = (struct worker){.gate = &gate, .piece = piece, .ctx = ctx, .id = i};
    int started = 0;
    while (started < n - 1 &&
           pthread_create(&threads[started], NULL, worker_main, &workers[started]) == 0)
        started++;
    bool all = started == n - 1;
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    gate.end = all ? clock_now() + ROUND_SECONDS : 0;
    pthread_cond_broadcast(&gate.opened);
    pthread_mutex_unlock(&gate.lock);
    if (all) worker_main(&workers[n - 1]);
    for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
    if (all)
        for (int i = 0; i < n; i++) rate += workers[i].rate;
out:
    free(threads);
    free(workers);
    return rate;
}

static double best_rate(int n, piece_fn piece, void *ctx)
{
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double r = round_rate(n, piece, ctx);
        if (r > best) best = r;
    }
    return best;
}

/* ---- read bandwidth -------------------------------------------------------------------------- */

enum { READ_PIECE = 1 << 20 };

struct read_state {
    size_t at;       /* of the next piece */
    uint64_t sum;    /* keeps the loads alive */
    char apart[112]; /* neighbours in the array share no cache line */
};

struct read_ctx {
    uint64_t *words;
    size_t share; /* bytes of each thread, whole pieces */
    struct read_state *state;
};

static double write_piece(void *ctx, int id)
{
    struct read_ctx *r = ctx;
    struct read_state *s = &r->state[id];
    if (s->at >= r->share) return 0;
    uint64_t *w = r->words + ((size_t)id * r->share + s->at) / 8;
    for (size_t i = 0; i < READ_PIECE / 8; i += 512) w[i] = i;
    s->at += READ_PIECE;
    return READ_PIECE;
}

static double read_piece(void *ctx, int id)
{
    struct read_ctx *r = ctx;
    struct read_state *s = &r->state[id];
    if (s->at >= r->share) s->at = 0;
    const uint64_t *p = r->words + ((size_t)id * r->share + s->at) / 8;
    uint64_t acc[16] = {0};
    for (size_t i = 0; i < READ_PIECE / 8; i += 16)
        for (size_t j = 0; j < 16; j++) acc[j] += p[i + j];
    for (size_t j = 0; j < 16; j++) s->sum += acc[j];
    s->at += READ_PIECE;
    return READ_PIECE;
}

static size_t read_buffer_bytes(void)
{
    size_t bytes = (size_t)512 << 20;
    uint64_t cache = machine_cache_bytes();
    if (cache > bytes / 4) bytes = (size_t)cache * 4;
    uint64_t available = machine_available_bytes();
    if (available && bytes > available / 2) bytes = available / 2;
    return bytes;
}

double machine_read_bandwidth(int n_threads)
{
    if (n_threads < 1 || n_threads > MAX_THREADS) return 0;
    struct read_ctx r = {.share =
                             read_buffer_bytes() / (size_t)n_threads / READ_PIECE * READ_PIECE};
    size_t total = r.share * (size_t)n_threads;
    r.state = calloc((size_t)n_threads, sizeof *r.state);
    if (total == 0 || !r.state) {
        free(r.state);
        return 0;
    }
    double rate = 0;
    void *mem = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mem == MAP_FAILED) goto out;
#ifdef MADV_HUGEPAGE
    (void)madvise(mem, total, MADV_HUGEPAGE); /* only a hint: fewer page-table walks */
#endif
    r.words = mem;
    /* Each thread writes its share first: an untouched page would be read from the one zero page.
     */
    for (;;) {
        size_t left = 0;
        for (int i = 0; i < n_threads; i++) left += r.share - r.state[i].at;
        if (left == 0) break;
        if (round_rate(n_threads, write_piece, &r) <= 0) goto out;
    }
    rate = best_rate(n_threads, read_piece, &r);
out:
    if (mem != MAP_FAILED) munmap(mem, total);
    free(r.state);
    return rate;
}

/* ---- int8 dot products ----------------------------------------------------------------------- */

#if defined(__x86_64__)

enum { INT8_LOOPS = 20000 };

/* Independent sums hide the instruction's latency; together with the operands they fit the
 * registers, and being plain variables they stay there. The empty asm lets the compiler neither
 * hoist nor fold the work. OPS: operations of one step. */
#define SUMS_10(X)     X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9)
#define SUMS_12(X)     SUMS_10(X) X(10) X(11)
#define SUMS_16(X)     SUMS_12(X) X(12) X(13) X(14) X(15)
#define SUM_DECLARE(j) s##j = a,

#define INT8_LOOP(NAME, TARGET, VEC, ZERO, SUMS, REG, STEP, OPS)                                   \
    __attribute__((target(TARGET))) static double NAME(void *ctx, int id)                          \
    {                                                                                              \
        (void)ctx;                                                                                 \
        (void)id;                                                                                  \
        VEC a = ZERO;                                                                              \
        __asm__ volatile("" : "+" REG(a));                                                         \
        VEC SUMS_##SUMS(SUM_DECLARE) b = a;                                                        \
        __asm__ volatile("" : "+" REG(b));                                                         \
        for (int i = 0; i < INT8_LOOPS; i++) {                                                     \
            SUMS_##SUMS(STEP)                                                                      \
        }                                                                                          \
        return (double)INT8_LOOPS * (SUMS) * (OPS);                                                \
    }

#define STEP_VNNI512(j)                                                                            \
    s##j = _mm512_dpbusd_epi32(s##j, a, b);                                                        \
    __asm__ volatile("" : "+v"(s##j));
#define STEP_VNNI256(j)                                                                            \
    s##j = _mm256_dpbusd_epi32(s##j, a, b);                                                        \
    __asm__ volatile("" : "+v"(s##j));
#define STEP_AVXVNNI(j)                                                                            \
    s##j = _mm256_dpbusd_avx_epi32(s##j, a, b);                                                    \
    __asm__ volatile("" : "+x"(s##j));
/* Without a dot-product instruction: bytes to sums of two in 16 bits, two such sums added, then
 * widened, which is what a kernel that must not saturate can do at best. */
#define STEP_AVX2(j)                                                                               \
    s##j =                                                                                         \
        _mm256_add_epi32(s##j, _mm256_madd_epi16(_mm256_add_epi16(_mm256_maddubs_epi16(s##j, a),   \
                                                                  _mm256_maddubs_epi16(s##j, b)),  \
                                                 b));                                              \
    __asm__ volatile("" : "+x"(s##j));
#define STEP_SSE2(j)                                                                               \
    s##j = _mm_add_epi32(s##j, _mm_madd_epi16(s##j, b));                                           \
    __asm__ volatile("" : "+x"(s##j));

INT8_LOOP(int8_vnni512, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512(), 16, "v",
          STEP_VNNI512, 128)
INT8_LOOP(int8_vnni256, "avx512f,avx512vl,avx512vnni", __m256i, _mm256_setzero_si256(), 16, "v",
          STEP_VNNI256, 64)
INT8_LOOP(int8_avxvnni, "avx2,avxvnni", __m256i, _mm256_setzero_si256(), 12, "x", STEP_AVXVNNI, 64)
INT8_LOOP(int8_avx2, "avx2", __m256i, _mm256_setzero_si256(), 10, "x", STEP_AVX2, 128)
INT8_LOOP(int8_sse2, "sse2", __m128i, _mm_setzero_si128(), 12, "x", STEP_SSE2, 16)

/* CPUID leaf 7, sub-leaf 1, EAX bit 4; older compilers' __builtin_cpu_supports does not know it. */
static bool has_avxvnni(void)
{
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) &&
           (a >> 4 & 1);
}

double machine_int8_ops_per_second(int n_threads)
{
    if (n_threads < 1 || n_threads > MAX_THREADS) return 0;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl")) {
        /* Some processors run two 256-bit instructions in the time of a 512-bit one. */
        double wide = best_rate(n_threads, int8_vnni512, NULL);
        double narrow = best_rate(n_threads, int8_vnni256, NULL);
        return wide > narrow ? wide : narrow;
    }
    if (has_avxvnni()) return best_rate(n_threads, int8_avxvnni, NULL);
    if (__builtin_cpu_supports("avx2")) return best_rate(n_threads, int8_avx2, NULL);
    return best_rate(n_threads, int8_sse2, NULL);
}

#else

double machine_int8_ops_per_second(int n_threads)
{
    (void)n_threads;
    return 0;
}

#endif
