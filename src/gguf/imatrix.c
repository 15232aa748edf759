#include "gguf/imatrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "gguf/gguf.h"
#include "gguf/imatrix_int.h"
#include "quant/quant.h"

enum status imatrix_create(struct imatrix **out, struct error *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? OK : error_set(err, ERR_NOMEM, "out of memory for an importance matrix");
}

static void entry_free(struct imatrix_entry *e)
{
    if (!e) return;
    free(e->name);
    free(e->sums);
    free(e->counts);
    free(e);
}

void imatrix_destroy(struct imatrix *m)
{
    if (!m) return;
    for (size_t i = 0; i < m->n; i++) entry_free(m->entries[i]);
    for (size_t i = 0; i < m->n_datasets; i++) free(m->datasets[i]);
    free(m->entries);
    free(m->datasets);
    free(m);
}

size_t imatrix_n_entries(const struct imatrix *m)
{
    return m->n;
}

struct imatrix_entry *imatrix_entry_at(const struct imatrix *m, size_t i)
{
    return m->entries[i];
}

struct imatrix_entry *imatrix_find(const struct imatrix *m, const char *name, size_t len)
{
    for (size_t i = 0; i < m->n; i++)
        if (strlen(m->entries[i]->name) == len && memcmp(m->entries[i]->name, name, len) == 0)
            return m->entries[i];
    return NULL;
}

/* Room for one more pointer in a list of n; NULL where there is no memory. */
static void *grow(void *list, size_t n)
{
    bool full = n == 0 || (n >= 16 && (n & (n - 1)) == 0);
    size_t cap = n < 16 ? 16 : 2 * n;
    return full ? realloc(list, cap * sizeof(void *)) : list;
}

static struct imatrix_entry *entry_new(const char *name, size_t len, size_t n_cols, size_t n_parts)
{
    uint64_t n;
    struct imatrix_entry *e = calloc(1, sizeof *e);
    if (!e || !checked_mul(n_cols, n_parts, &n) || n > SIZE_MAX / sizeof(double)) {
        free(e);
        return NULL;
    }
    e->n_cols = n_cols;
    e->n_parts = n_parts;
    e->name = strndup(name, len);
    e->sums = calloc(n + 1, sizeof *e->sums);
    e->counts = calloc(n_parts + 1, sizeof *e->counts);
    if (e->name && e->sums && e->counts) return e;
    entry_free(e);
    return NULL;
}

enum status imatrix_entry(struct imatrix *m, const char *name, size_t len, size_t n_cols,
                          size_t n_parts, struct imatrix_entry **out, struct error *err)
{
    struct imatrix_entry *e = *out = imatrix_find(m, name, len);
    if (e && (e->n_cols != n_cols || e->n_parts != n_parts))
        return error_set(err, ERR_INVALID,
                         "%s has %zu columns in %zu parts here and %zu in %zu there: these are of "
                         "different models",
                         e->name, e->n_cols, e->n_parts, n_cols, n_parts);
    if (e) return OK;
    struct imatrix_entry **entries = grow(m->entries, m->n);
    if (entries) m->entries = entries;
    e = entries ? entry_new(name, len, n_cols, n_parts) : NULL;
    if (!e)
        return error_set(err, ERR_NOMEM, "out of memory for the importance of %.*s", (int)len,
                         name);
    m->entries[m->n++] = *out = e;
    return OK;
}

enum status imatrix_add_dataset(struct imatrix *m, const char *name, size_t len, struct error *err)
{
    if (m->n_datasets >= IMATRIX_MAX_DATASETS)
        return error_set(err, ERR_LIMIT, "an importance matrix of more than %d texts",
                         IMATRIX_MAX_DATASETS);
    char **datasets = grow(m->datasets, m->n_datasets);
    if (datasets) m->datasets = datasets;
    char *copy = datasets ? strndup(name, len) : NULL;
    if (!copy) return error_set(err, ERR_NOMEM, "out of memory for the name of a text");
    m->datasets[m->n_datasets++] = copy;
    return OK;
}

uint64_t imatrix_chunk_count(const struct imatrix *m, uint64_t chunk_size)
{
    double most = 0;
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < m->entries[i]->n_parts; k++)
            most = fmax(most, m->entries[i]->counts[k]);
    return chunk_size ? (uint64_t)(most / (double)chunk_size) : 0;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* Whether `name` ends with `suffix`; its length without it goes to *len. */
static bool has_suffix(struct gguf_str name, const char *suffix, size_t *len)
{
    size_t n = strlen(suffix);
    if (name.len <= n || memcmp(name.data + name.len - n, suffix, n) != 0) return false;
    *len = name.len - n;
    return true;
}

static uint64_t n_elements(const struct gguf_tensor *t)
{
    return t->size / sizeof(float);
}

static float element(const struct gguf_tensor *t, uint64_t i)
{
    float x;
    memcpy(&x, t->data + i * sizeof x, sizeof x);
    return x;
}

/* F32, finite and not negative. */
static enum status check_numbers(const struct gguf *g, const struct gguf_tensor *t,
                                 struct error *err)
{
    if (t->type != QUANT_F32)
        return error_set(err, ERR_FORMAT, "%s: tensor '%.*s' is not F32", gguf_path(g),
                         (int)t->name.len, t->name.data);
    for (uint64_t i = 0; i < n_elements(t); i++)
        if (!isfinite(element(t, i)) || element(t, i) < 0)
            return error_set(err, ERR_FORMAT, "%s: element %llu of tensor '%.*s' is no sum of squares",
                             gguf_path(g), (unsigned long long)i, (int)t->name.len, t->name.data);
    return OK;
}

static enum status add_pair(struct imatrix *m, const struct gguf *g,
                            const struct gguf_tensor *sums, size_t len, struct error *err)
{
    char name[IMATRIX_MAX_NAME];
    const char *text = sums->name.data;
    if (len > sizeof name - sizeof IMATRIX_COUNTS)
        return error_set(err, ERR_FORMAT, "%s: tensor '%.*s' has too long a name", gguf_path(g),
                         (int)len, text);
    memcpy(name, text, len);
    memcpy(name + len, IMATRIX_COUNTS, sizeof IMATRIX_COUNTS);
    const struct gguf_tensor *counts = gguf_tensor_find(g, name);
    if (!counts)
        return error_set(err, ERR_FORMAT, "%s: tensor '%s' is missing", gguf_path(g), name);
    enum status st = check_numbers(g, sums, err);
    if (st == OK) st = check_numbers(g, counts, err);
    if (st != OK) return st;
    uint64_t parts = n_elements(counts), n = n_elements(sums);
    if (parts == 0 || n == 0 || n % parts != 0)
        return error_set(err, ERR_FORMAT, "%s: '%.*s' has %llu sums, but %llu counts",
                         gguf_path(g), (int)len, text, (unsigned long long)n,
                         (unsigned long long)parts);
    struct imatrix_entry *e;
    st = imatrix_entry(m, text, len, (size_t)(n / parts), (size_t)parts, &e, err);
    if (st != OK) return error_prefix(err, "%s", gguf_path(g));
    for (uint64_t i = 0; i < n; i++) e->sums[i] += (double)element(sums, i);
    for (uint64_t i = 0; i < parts; i++) e->counts[i] += (double)element(counts, i);
    return OK;
}

static enum status read_info(struct imatrix *m, const struct gguf *g, struct imatrix_info *info,
                             struct error *err)
{
    *info = (struct imatrix_info){0};
    struct gguf_array texts;
    struct gguf_str s, run = {0};
    uint64_t at = 0;
    enum status st = OK;
    (void)gguf_get_u64(g, IMATRIX_CHUNK_SIZE, &info->chunk_size, NULL);
    (void)gguf_get_u64(g, IMATRIX_RUN_CHUNKS, &info->run_chunks, NULL);
    if (gguf_get_str(g, IMATRIX_RUN, &run, NULL) == OK && run.len == IMATRIX_RUN_SIZE - 1)
        memcpy(info->run, run.data, run.len);
    if (gguf_get_array(g, IMATRIX_DATASETS, &texts, NULL) == OK && texts.type == GGUF_STRING)
        while (st == OK && gguf_array_next_str(&texts, &at, &s))
            st = imatrix_add_dataset(m, s.data, s.len, err);
    return st == OK ? OK : error_prefix(err, "%s", gguf_path(g));
}

static enum status read_all(struct imatrix *m, const struct gguf *g, struct imatrix_info *info,
                            struct error *err)
{
    struct gguf_str type;
    if (gguf_get_str(g, "general.type", &type, NULL) != OK || !gguf_str_eq(type, "imatrix"))
        return error_set(err, ERR_FORMAT,
                         "%s is no importance matrix: 'hearth imatrix' makes one, llama-imatrix "
                         "turns those of an older format into GGUF",
                         gguf_path(g));
    size_t n = 0;
    enum status st = read_info(m, g, info, err);
    for (size_t i = 0; st == OK && i < gguf_n_tensors(g); i++) {
        size_t len;
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (!has_suffix(t->name, IMATRIX_SUMS, &len)) continue;
        st = add_pair(m, g, t, len, err);
        n++;
    }
    if (st == OK && n == 0)
        return error_set(err, ERR_FORMAT, "%s: an importance matrix without any sums",
                         gguf_path(g));
    return st;
}

enum status imatrix_read(struct imatrix *m, const char *path, struct imatrix_info *info,
                         struct error *err)
{
    struct imatrix_info ignored;
    struct gguf *g;
    enum status st = gguf_open(path, &g, err);
    if (st != OK) return st;
    st = read_all(m, g, info ? info : &ignored, err);
    gguf_close(g);
    return st;
}
