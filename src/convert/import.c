/* The driver: folder in, file out. Tensors one after the other, each by all threads in chunks of
 * rows, so that memory does not grow with the model and a killed import loses one tensor at most.
 */
#include "convert/import.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/pool.h"
#include "convert/import_int.h"

enum { QUANTIZATION_VERSION = 2, FORMAT = 1 };

struct importer {
    const struct import_options *o;
    struct import_report *report;
    struct error *err;
    struct safetensors *files;
    struct hf_model model;
    struct hf_sources sources;
    struct import_plan plan;
    struct gguf_writer *w;
    struct import_journal journal;
    struct import_done *done; /* [plan.n] */
    struct pool *pool;
    struct import_buffers *buffers; /* [n_threads] */
    int n_threads;
    uint64_t written, total; /* bytes of tensors: for progress */
};

/* One tensor in work. */
struct chunk {
    uint8_t digest[SHA256_BYTES];
    struct import_errors errors;
};
struct job {
    struct importer *im;
    size_t tensor;
    bool check; /* read back instead of writing */
    struct chunk *chunks;
    uint64_t n_chunks;
    _Atomic uint64_t next, bytes;
    _Atomic int stop;
    struct error *errors; /* [n_threads] */
};

static void say(const struct importer *im, const char *line)
{
    if (im->o->notice) im->o->notice(im->o->ctx, line);
}

/* ---- work -------------------------------------------------------------------------------------
 */

static enum status do_chunk(struct job *j, uint64_t at, struct import_buffers *b, struct error *err)
{
    const struct import_tensor *t = &j->im->plan.v[j->tensor];
    uint64_t row = at * t->chunk_rows,
             n = t->rows - row < t->chunk_rows ? t->rows - row : t->chunk_rows;
    uint64_t offset = row * t->row_bytes;
    size_t len = (size_t)(n * t->row_bytes);
    struct chunk *c = &j->chunks[at];
    enum status st = j->check ? gguf_writer_get(j->im->w, j->tensor, offset, b->bytes, len, err)
                              : import_rows(t, row, n, b, &c->errors, err);
    if (!st && sha256_of(b->bytes, len, c->digest))
        st = error_set(err, ERR_NOMEM, "SHA-256 failed");
    if (!st && !j->check) st = gguf_writer_put(j->im->w, j->tensor, offset, b->bytes, len, err);
    atomic_fetch_add(&j->bytes, len);
    return st;
}

static void work(void *ctx, int thread)
{
    struct job *j = ctx;
    struct importer *im = j->im;
    for (uint64_t at; !j->stop && (at = atomic_fetch_add(&j->next, 1)) < j->n_chunks;) {
        if (do_chunk(j, at, &im->buffers[thread], &j->errors[thread])) j->stop = 1;
        /* The caller's thread alone talks to the screen. */
        if (thread != 0 || !im->o->progress || j->stop) continue;
        if (!im->o->progress(im->o->ctx, im->written + j->bytes, im->total)) {
            error_set(
                &j->errors[0], ERR_CANCELLED,
                "interrupted; what is written stays, and the same command goes on from there");
            j->stop = 1;
        }
    }
}

/* Runs a tensor's chunks and gives the digest of their digests. */
static enum status run_tensor(struct importer *im, size_t i, bool check, char hex[SHA256_HEX_SIZE])
{
    struct import_tensor *t = &im->plan.v[i];
    struct job j = {
        .im = im, .tensor = i, .check = check, .n_chunks = (t->rows - 1) / t->chunk_rows + 1};
    struct sha256 h;
    uint8_t digest[SHA256_BYTES];
    j.chunks = calloc(j.n_chunks, sizeof *j.chunks);
    j.errors = calloc((size_t)im->n_threads, sizeof *j.errors);
    enum status st = j.chunks && j.errors && !sha256_init(&h)
                         ? OK
                         : error_set(im->err, ERR_NOMEM, "out of memory");
    if (!st) {
        pool_run(im->pool, work, &j);
        for (int k = 0; k < im->n_threads && !st; k++)
            if (j.errors[k].code) st = error_set(im->err, j.errors[k].code, "%s", j.errors[k].msg);
        for (uint64_t c = 0; c < j.n_chunks; c++) {
            const struct import_errors *e = &j.chunks[c].errors;
            sha256_update(&h, j.chunks[c].digest, sizeof j.chunks[c].digest);
            if (check) continue;
            if (e->max_error > t->max_error) t->max_error = e->max_error;
            t->sum_error2 += e->sum_error2;
            t->sum2 += e->sum2;
        }
        if (sha256_final(&h, digest) && !st) st = error_set(im->err, ERR_NOMEM, "SHA-256 failed");
        sha256_fini(&h);
        sha256_hex(digest, hex);
    }
    free(j.chunks);
    free(j.errors);
    return st;
}

/* True where the part file still has what the journal says. */
static enum status check_done(struct importer *im, size_t i, bool *good)
{
    char hex[SHA256_HEX_SIZE];
    *good = false;
    if (!im->done[i].done) return OK;
    enum status st = run_tensor(im, i, true, hex);
    if (st) return st;
    *good = strcmp(hex, im->done[i].digest) == 0;
    if (!*good) return OK;
    im->plan.v[i].max_error = im->done[i].max_error;
    im->plan.v[i].sum_error2 = im->done[i].sum_error2;
    im->plan.v[i].sum2 = im->done[i].sum2;
    gguf_writer_have(im->w, i);
    im->report->n_resumed++;
    return OK;
}

static enum status do_tensor(struct importer *im, size_t i)
{
    const struct import_tensor *t = &im->plan.v[i];
    char hex[SHA256_HEX_SIZE];
    bool good;
    enum status st = check_done(im, i, &good);
    if (!st && !good) {
        st = run_tensor(im, i, false, hex);
        if (!st) st = import_journal_add(&im->journal, i, hex, t, im->err);
    }
    for (size_t p = 0; p < t->n_parts; p++) hf_source_release_pages(&im->sources, t->parts[p].src);
    im->written += t->rows * t->row_bytes;
    return st;
}

/* ---- description -------------------------------------------------------------------------------
 */

static const char *folder_name(const char *folder, char dst[256])
{
    char *real = realpath(folder, NULL);
    const char *slash = real ? strrchr(real, '/') : NULL;
    snprintf(dst, 256, "%s", slash && slash[1] ? slash + 1 : "model");
    free(real);
    return dst;
}

/* What the publisher recommends for sampling. */
static enum status sampling_keys(struct importer *im)
{
    static const struct {
        const char *field, *key;
    } numbers[] = {
        {"temperature", "general.sampling.temp"},
        {"top_p", "general.sampling.top_p"},
        {"min_p", "general.sampling.min_p"},
        {"repetition_penalty", "general.sampling.penalty_repeat"},
    };
    json_t *j;
    enum status st = hf_json_load(im->model.folder, "generation_config.json", &j, im->err);
    if (st || !j) return st;
    const json_t *k = json_object_get(j, "top_k");
    if (json_is_integer(k) && json_integer_value(k) >= 0 && json_integer_value(k) <= INT32_MAX)
        gguf_writer_i64(im->w, "general.sampling.top_k", GGUF_I32, json_integer_value(k));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const json_t *v = json_object_get(j, numbers[i].field);
        if (json_is_number(v))
            gguf_writer_f64(im->w, numbers[i].key, GGUF_F32, json_number_value(v));
    }
    json_decref(j);
    return OK;
}

static enum status describe_model(struct importer *im)
{
    char name[256];
    struct error why = {0};
    struct hf_keys k = {.m = &im->model, .w = im->w, .err = &why};
    const char *arch = im->model.arch->name, *folder = im->model.folder;
    snprintf(im->report->architecture, sizeof im->report->architecture, "%s", arch);
    gguf_writer_str(im->w, "general.architecture", arch);
    gguf_writer_str(im->w, "general.type", "model");
    gguf_writer_str(im->w, "general.name", im->o->name ? im->o->name : folder_name(folder, name));
    enum status st = sampling_keys(im);
    if (!st) im->model.arch->keys(&k);
    if (!st && why.code) st = error_set(im->err, why.code, "%s", why.msg);
    if (!st && im->o->tokenizer) {
        struct tokenizer_import_options t = {.pre = im->o->pre};
        st = im->o->tokenizer(folder, arch, &t, im->w, &im->report->tokenizer, im->err);
        im->model.n_tokens = (uint32_t)im->report->tokenizer.n_tokens;
    }
    return st;
}

static void describe_tensors(struct importer *im)
{
    gguf_writer_u64(im->w, "general.quantization_version", GGUF_U32, QUANTIZATION_VERSION);
    gguf_writer_u64(im->w, "general.file_type", GGUF_U32, im->plan.file_type);
    for (size_t i = 0; i < im->plan.n; i++) {
        const struct import_tensor *t = &im->plan.v[i];
        gguf_writer_tensor(im->w, t->name.data, t->type, t->n_dims, t->ne);
        im->total += t->rows * t->row_bytes;
    }
}

/* The first source with tokens that the model has no rows for would fail at the first of them. */
static enum status check_tokens(const struct importer *im)
{
    size_t n = im->report->tokenizer.n_tokens;
    for (size_t i = 0; i < im->plan.n; i++) {
        const struct import_tensor *t = &im->plan.v[i];
        if (strcmp(t->name.data, "token_embd.weight") != 0 || n == 0 || n == t->ne[1]) continue;
        return error_set(im->err, ERR_FORMAT,
                         "the tokenizer has %zu tokens and the model %" PRIu64
                         " embeddings; they do not belong "
                         "together",
                         n, t->ne[1]);
    }
    return OK;
}

static enum status load(struct importer *im, const char *folder)
{
    json_t *quantize = NULL;
    enum status st = hf_model_load(folder, &im->model, im->err);
    if (!st) st = safetensors_open(folder, &im->files, im->err);
    if (!st) st = hf_json_load(folder, "quantize_config.json", &quantize, im->err);
    if (!st && !quantize) st = hf_json_load(folder, "quant_config.json", &quantize, im->err);
    if (!st) st = hf_sources_build(im->files, &im->model.config, quantize, &im->sources, im->err);
    json_decref(quantize);
    return st;
}

/* Of what would be written: the same folder, unchanged, and the same options. */
static enum status identity(const struct importer *im, char hex[SHA256_HEX_SIZE])
{
    char files[SHA256_HEX_SIZE], text[SHA256_HEX_SIZE + 160];
    uint8_t digest[SHA256_BYTES];
    enum status st = safetensors_identity(im->files, files, im->err);
    if (st) return st;
    int n = snprintf(text, sizeof text, "%d %s %d %.100s", FORMAT, files, im->o->exact,
                     im->o->quantize ? im->o->quantize : "-");
    if (sha256_of(text, (size_t)n, digest)) return error_set(im->err, ERR_NOMEM, "SHA-256 failed");
    sha256_hex(digest, hex);
    return OK;
}

/* ---- all of it ----------------------------------------------------------------------------------
 */

static enum status write_tensors(struct importer *im, const char *log)
{
    char id[SHA256_HEX_SIZE];
    enum status st = identity(im, id);
    im->done = calloc(im->plan.n + 1, sizeof *im->done);
    im->buffers = calloc((size_t)im->n_threads, sizeof *im->buffers);
    if (!st && (!im->done || !im->buffers)) st = error_set(im->err, ERR_NOMEM, "out of memory");
    for (int i = 0; i < im->n_threads && !st; i++)
        st = import_buffers_init(&im->buffers[i], &im->plan, im->err);
    if (!st) st = pool_create(im->n_threads, &im->pool, im->err);
    if (!st)
        st = import_journal_open(&im->journal, log, id, gguf_writer_resumed(im->w), im->done,
                                 im->plan.n, im->err);
    for (size_t i = 0; i < im->plan.n && !st; i++) st = do_tensor(im, i);
    if (!st && im->o->progress) im->o->progress(im->o->ctx, im->total, im->total);
    return st;
}

static void tell_errors(struct importer *im)
{
    double error2[IMPORT_MAX_CLASSES] = {0}, sum2[IMPORT_MAX_CLASSES] = {0};
    uint64_t n[IMPORT_MAX_CLASSES] = {0};
    for (size_t i = 0; i < im->plan.n; i++) {
        const struct import_tensor *t = &im->plan.v[i];
        struct import_class *c = &im->report->classes[t->class];
        if (!t->measured) continue;
        c->measured = true;
        if (t->max_error > c->max_error) c->max_error = t->max_error;
        error2[t->class] += t->sum_error2;
        sum2[t->class] += t->sum2;
        n[t->class] += t->rows * t->cols;
    }
    for (size_t i = 0; i < im->report->n_classes; i++) {
        if (n[i] == 0) continue;
        im->report->classes[i].rms_error = __builtin_sqrt(error2[i] / (double)n[i]);
        im->report->classes[i].rms = __builtin_sqrt(sum2[i] / (double)n[i]);
    }
}

static void importer_fini(struct importer *im)
{
    for (int i = 0; i < im->n_threads && im->buffers; i++) import_buffers_fini(&im->buffers[i]);
    free(im->buffers);
    free(im->done);
    pool_destroy(im->pool);
    import_journal_close(&im->journal);
    gguf_writer_abandon(im->w);
    import_plan_fini(&im->plan);
    hf_sources_fini(&im->sources);
    hf_model_fini(&im->model);
    safetensors_close(im->files);
}

enum status import_folder(const char *folder, const char *path, const struct import_options *o,
                          struct import_report *report, struct error *err)
{
    struct error local = {0};
    *report = (struct import_report){0};
    struct importer im = {.o = o,
                          .report = report,
                          .err = err ? err : &local,
                          .n_threads = o->n_threads > 0 ? o->n_threads : 1};
    char *part = NULL, *log = NULL;
    enum status st = OK;
    if (asprintf(&part, "%s.part", path) < 0 || asprintf(&log, "%s.part.log", path) < 0)
        st = error_set(err, ERR_NOMEM, "out of memory");
    if (!st) st = load(&im, folder);
    if (!st) st = gguf_writer_begin(path, 0, &im.w, im.err);
    if (!st) st = gguf_writer_keep(im.w, part, im.err);
    if (!st) st = describe_model(&im);
    if (!st) st = import_plan_make(&im.model, &im.sources, o, &im.plan, report, im.err);
    if (!st) st = check_tokens(&im);
    if (!st) {
        describe_tensors(&im);
        report->file_bytes = gguf_writer_file_bytes(im.w);
        st = gguf_writer_start(im.w, im.err);
    }
    if (!st) st = write_tensors(&im, log);
    if (!st) {
        tell_errors(&im);
        st = gguf_writer_commit(im.w, im.err);
        im.w = NULL;
        if (!st) unlink(log);
    }
    if (!st && report->n_resumed) say(&im, "went on from an interrupted import");
    importer_fini(&im);
    free(part);
    free(log);
    return st;
}

void import_forget(const char *path)
{
    static const char *const suffixes[] = {".part", ".part.log"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char *name;
        if (asprintf(&name, "%s%s", path, suffixes[i]) < 0) continue;
        unlink(name);
        free(name);
    }
}
