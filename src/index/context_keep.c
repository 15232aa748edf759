#include "index/context_keep.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "index/index.h"
#include "index/project_file.h"
#include "index/reader.h"

enum {
    LOOK_BACK = 64 << 10, /* bytes before the line that tell it from others */
    BUSY_MS = 5
};                    /* that a locked database is waited for */
#define TRY_AGAIN 2.0 /* seconds before an index that could not be opened is looked for again */

struct context_keep {
    char *root, *cache, *name;
    struct index *ix; /* NULL: not open */
    double try_again; /* clock_now() */
    char *path;       /* of the pieces, relative; NULL = none are kept */
    uint64_t place;   /* hash of what stands before the cursor's line */
    size_t max_bytes;
    struct index_context found;
};

enum status context_keep_create(const char *root, const char *cache, struct context_keep **out,
                                struct error *err)
{
    char real[PATH_MAX];
    const char *dir = realpath(root, real) ? real : root, *slash = strrchr(dir, '/');
    struct context_keep *k = *out = calloc(1, sizeof *k);
    if (k) {
        k->root = strdup(dir);
        k->cache = strdup(cache);
        k->name = strdup(slash && slash[1] ? slash + 1 : dir);
    }
    if (k && k->root && k->cache && k->name) return OK;
    context_keep_destroy(k);
    *out = NULL;
    return error_set(err, ERR_NOMEM, "out of memory for context");
}

static void forget(struct context_keep *k)
{
    free(k->path);
    k->path = NULL;
    index_context_fini(&k->found);
}

void context_keep_destroy(struct context_keep *k)
{
    if (!k) return;
    forget(k);
    index_close(k->ix);
    free(k->root);
    free(k->cache);
    free(k->name);
    free(k);
}

static bool open_index(struct context_keep *k)
{
    struct error err = {0};
    if (!k->ix && clock_now() < k->try_again) return false;
    if (!k->ix && index_open(k->root, k->cache, &k->ix, &err)) {
        k->ix = NULL;
        k->try_again = clock_now() + TRY_AGAIN;
        return false;
    }
    sqlite3_busy_timeout(k->ix->db.sql, BUSY_MS);
    return true;
}

/* NULL where the path is none of the project's. */
static char *relative(const struct context_keep *k, const char *path)
{
    char real[PATH_MAX], *out;
    struct error err = {0};
    if (!path) return NULL;
    /* A file that is not saved yet has no real path. */
    const char *use = *path == '/' && realpath(path, real) ? real : path;
    return project_file_path(k->root, use, &out, &err) == OK ? out : NULL;
}

static uint64_t hash_place(const char *text, size_t offset)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    size_t line = offset;
    while (line > 0 && text[line - 1] != '\n') line--;
    for (size_t i = line > LOOK_BACK ? line - LOOK_BACK : 0; i < line; i++)
        h = (h ^ (unsigned char)text[i]) * 1099511628211u;
    return h ^ line;
}

/* Whether most of the better half of what is found now is there already. */
static bool still_fits(const struct index_context *old, const struct index_context *now)
{
    size_t top = (now->n_keys + 1) / 2, missing = 0;
    for (size_t i = 0; i < top; i++) {
        size_t k = 0;
        while (k < old->n_keys && old->keys[k] != now->keys[i]) k++;
        missing += k == old->n_keys;
    }
    return old->n_keys && missing * 4 <= top;
}

void context_keep_take(struct context_keep *k, const char *path, const char *text, size_t len,
                       size_t offset, const struct context_budget *budget, struct context_kept *out)
{
    double started = clock_now();
    struct error err = {0};
    struct index_context found = {0};
    char *rel = relative(k, path);
    uint64_t place = hash_place(text, offset);
    bool same_file =
        rel && k->path && strcmp(rel, k->path) == 0 && budget->max_bytes == k->max_bytes;
    *out = (struct context_kept){.repository = k->name, .found = &k->found};
    if (same_file && place == k->place && k->ix) {
        out->again = true;
    } else if (rel && open_index(k)) {
        struct index_context_query q = {.path = rel,
                                        .text = text,
                                        .len = len,
                                        .offset = offset,
                                        .near_bytes = budget->near_bytes,
                                        .max_bytes = budget->max_bytes,
                                        .seconds = budget->seconds};
        enum status st = index_context_find(k->ix, &q, &found, &err);
        if (st) { /* damaged, or replaced: what is kept may be told no longer */
            index_close(k->ix);
            k->ix = NULL;
            k->try_again = clock_now() + TRY_AGAIN;
            forget(k);
        } else if (same_file && still_fits(&k->found, &found)) {
            out->again = true;
            index_context_fini(&found);
        } else {
            forget(k);
            k->found = found;
        }
    } else {
        forget(k);
    }
    free(k->path);
    k->path = rel;
    k->place = place;
    k->max_bytes = budget->max_bytes;
    out->path = k->path;
    out->ms = 1e3 * (clock_now() - started);
}
