#include "gguf/safetensors.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "gguf/gguf_int.h"
#include "gguf/safetensors_int.h"

static const char index_name[] = "model.safetensors.index.json";

/* One line of an index: which file has the tensor. */
struct promise {
    char *tensor, *file;
};

struct promises {
    struct promise *v;
    size_t n, cap;
};

static enum status no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "out of memory");
}

/* Takes `path`, which must be malloc'd. */
static enum status add_shard(struct safetensors *s, char *path, struct error *err)
{
    struct safetensors_shard *v = NULL;
    if (path && s->n_shards < SAFETENSORS_MAX_SHARDS)
        v = reallocarray(s->shards, s->n_shards + 1, sizeof *v);
    if (!v) {
        bool many = path && s->n_shards == SAFETENSORS_MAX_SHARDS;
        enum status st =
            many ? error_set(err, ERR_LIMIT, "%s: more than %d files", path, SAFETENSORS_MAX_SHARDS)
                 : no_memory(err);
        free(path);
        return st;
    }
    s->shards = v;
    struct safetensors_shard *sh = &v[s->n_shards++];
    *sh = (struct safetensors_shard){.path = path};
    enum status st = file_map_open(path, &sh->map, err);
    if (st) return st;
    sh->mapped = true;
    return safetensors_parse(s, s->n_shards - 1, err);
}

static char *join(const char *folder, const char *file)
{
    char *path;
    return asprintf(&path, "%s/%s", folder, file) < 0 ? NULL : path;
}

/* ---- with an index ----------------------------------------------------------------------------
 */

/* A shard lies beside its index: anything else would read files that are no part of the model. */
static enum status check_file_name(const char *index, const char *file, struct error *err)
{
    size_t n = strlen(file);
    static const char suffix[] = ".safetensors";
    if (strchr(file, '/') || file[0] == '.' || n < sizeof suffix ||
        strcmp(file + n - (sizeof suffix - 1), suffix) != 0)
        return error_set(err, ERR_FORMAT,
                         "%s: it names the file '%.200s', which is no shard beside it", index,
                         file);
    return OK;
}

static enum status add_promise(struct promises *p, const char *tensor, const char *file,
                               struct error *err)
{
    if (p->n == SAFETENSORS_MAX_TENSORS)
        return error_set(err, ERR_LIMIT, "more than %d tensors", SAFETENSORS_MAX_TENSORS);
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 256;
        struct promise *v = reallocarray(p->v, cap, sizeof *v);
        if (!v) return no_memory(err);
        p->v = v;
        p->cap = cap;
    }
    struct promise *e = &p->v[p->n];
    *e = (struct promise){strdup(tensor), strdup(file)};
    p->n++;
    return e->tensor && e->file ? OK : no_memory(err);
}

static void promises_fini(struct promises *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->v[i].tensor);
        free(p->v[i].file);
    }
    free(p->v);
}

/* "weight_map": {tensor: file, ...} */
static enum status read_map(struct json_scan *j, struct promises *p)
{
    enum status st = json_scan_expect(j, '{');
    if (st || json_scan_take(j, '}')) return st;
    do {
        char tensor[SAFETENSORS_MAX_NAME + 1], file[256];
        if ((st = json_scan_string(j, tensor, sizeof tensor)) || (st = json_scan_expect(j, ':')) ||
            (st = json_scan_string(j, file, sizeof file)) ||
            (st = check_file_name(j->path, file, j->err)) ||
            (st = add_promise(p, tensor, file, j->err)))
            return st;
    } while (json_scan_take(j, ','));
    return json_scan_expect(j, '}');
}

static enum status read_index(const char *path, struct promises *p, struct error *err)
{
    struct buf text;
    buf_init(&text, SAFETENSORS_MAX_HEADER);
    enum status st = file_read_all(path, &text, err);
    const char *start = text.data ? text.data : "";
    struct json_scan j = {start, start, start + text.len, path, err};
    bool seen = false;
    if (!st) st = json_scan_expect(&j, '{');
    if (!st && !json_scan_take(&j, '}')) {
        do {
            char field[64];
            if ((st = json_scan_string(&j, field, sizeof field)) ||
                (st = json_scan_expect(&j, ':')))
                break;
            bool map = strcmp(field, "weight_map") == 0;
            if (map && seen) st = json_scan_fail(&j, "a second weight_map");
            if (!st) st = map ? read_map(&j, p) : json_scan_skip(&j);
            seen |= map;
        } while (!st && json_scan_take(&j, ','));
        if (!st) st = json_scan_expect(&j, '}');
    }
    if (!st && p->n == 0) st = error_set(err, ERR_FORMAT, "%s: it has no weight_map", path);
    buf_fini(&text);
    return st;
}

static int by_file(const void *a, const void *b)
{
    return strcmp(((const struct promise *)a)->file, ((const struct promise *)b)->file);
}

static enum status build_index(struct safetensors *s, struct error *err)
{
    const struct gguf_str *twice = NULL;
    enum status st = gguf_index(s->v, s->n, sizeof *s->v, &s->by_name, &twice);
    if (st) return no_memory(err);
    if (!twice) return OK;
    const struct safetensor *t = (const struct safetensor *)twice;
    return error_set(err, ERR_FORMAT, "%s: tensor '%s' occurs twice", s->shards[t->shard].path,
                     gguf_show(*twice).s);
}

static enum status keep_promises(const struct safetensors *s, const char *folder,
                                 const struct promises *p, struct error *err)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct safetensor *t = safetensors_find(s, p->v[i].tensor);
        if (t && strcmp(strrchr(s->shards[t->shard].path, '/') + 1, p->v[i].file) == 0) continue;
        return error_set(err, ERR_FORMAT, "%s/%s: it says that '%.100s' is in %s, which lacks it",
                         folder, index_name, p->v[i].tensor, p->v[i].file);
    }
    return OK;
}

static enum status open_indexed(struct safetensors *s, const char *folder, const char *index,
                                struct error *err)
{
    struct promises p = {0};
    enum status st = read_index(index, &p, err);
    if (!st) qsort(p.v, p.n, sizeof *p.v, by_file);
    for (size_t i = 0; i < p.n && !st; i++) {
        if (i && strcmp(p.v[i].file, p.v[i - 1].file) == 0) continue;
        st = add_shard(s, join(folder, p.v[i].file), err);
        if (st == ERR_NOT_FOUND)
            st = error_prefix(err, "%s names a file that is not there; fetch the whole model",
                              index_name);
    }
    if (!st) st = build_index(s, err);
    if (!st) st = keep_promises(s, folder, &p, err);
    promises_fini(&p);
    return st;
}

/* ---- without ----------------------------------------------------------------------------------
 */

static int is_shard(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return e->d_name[0] != '.' && n > 12 && strcmp(e->d_name + n - 12, ".safetensors") == 0;
}

/* "x-00002-of-00003.safetensors": 3, and 2 in *no; 0 for other names. */
static unsigned shard_count(const char *name, unsigned *no)
{
    const char *of = strstr(name, "-of-");
    unsigned count;
    if (!of || of - name < 6 || sscanf(of - 6, "-%5u-of-%5u.safetensors", no, &count) != 2)
        return 0;
    return count;
}

static enum status open_listed(struct safetensors *s, const char *folder, struct error *err)
{
    struct dirent **list = NULL;
    int n = scandir(folder, &list, is_shard, alphasort);
    enum status st = OK;
    unsigned no = 0, count = 0;
    if (n < 0) st = error_set(err, ERR_IO, "cannot list %s: %s", folder, strerror(errno));
    if (n == 0)
        st = error_set(err, ERR_NOT_FOUND,
                       "%s: no *.safetensors file in it (pickled *.bin and *.pth "
                       "files are not read: they may hold programs)",
                       folder);
    if (n > 1)
        for (int i = 0; i < n && !st; i++) {
            count = shard_count(list[i]->d_name, &no);
            if (count != (unsigned)n || no != (unsigned)i + 1)
                st = error_set(
                    err, ERR_NOT_FOUND,
                    "%s: %d *.safetensors files without an index, and not all of one model; "
                    "name one of them, or fetch %s",
                    folder, n, index_name);
        }
    if (n == 1 && shard_count(list[0]->d_name, &no) > 1)
        st = error_set(err, ERR_NOT_FOUND, "%s: only %s is there; fetch the whole model", folder,
                       list[0]->d_name);
    for (int i = 0; i < n && !st; i++) st = add_shard(s, join(folder, list[i]->d_name), err);
    for (int i = 0; i < n; i++) free(list[i]);
    free(list);
    return st ? st : build_index(s, err);
}

static enum status open_folder(struct safetensors *s, const char *folder, struct error *err)
{
    char *index = join(folder, index_name), *single = join(folder, "model.safetensors");
    enum status st;
    if (!index || !single) {
        st = no_memory(err);
    } else if (file_exists(index)) {
        st = open_indexed(s, folder, index, err);
    } else if (file_exists(single)) {
        st = add_shard(s, single, err);
        single = NULL;
        if (!st) st = build_index(s, err);
    } else {
        st = open_listed(s, folder, err);
    }
    free(index);
    free(single);
    return st;
}

enum status safetensors_open(const char *path, struct safetensors **out, struct error *err)
{
    struct stat sb;
    *out = NULL;
    if (stat(path, &sb) != 0)
        return error_set(err, ERR_NOT_FOUND, "cannot open %s: %s", path, strerror(errno));
    struct safetensors *s = calloc(1, sizeof *s);
    if (!s) return no_memory(err);
    enum status st;
    if (S_ISDIR(sb.st_mode)) {
        st = open_folder(s, path, err);
    } else {
        st = add_shard(s, strdup(path), err);
        if (!st) st = build_index(s, err);
    }
    if (st)
        safetensors_close(s);
    else
        *out = s;
    return st;
}

enum status safetensors_open_memory(const void *data, size_t size, const char *name,
                                    struct safetensors **out, struct error *err)
{
    *out = NULL;
    struct safetensors *s = calloc(1, sizeof *s);
    if (!s) return no_memory(err);
    s->shards = calloc(1, sizeof *s->shards);
    enum status st = ERR_NOMEM;
    if (s->shards) {
        s->n_shards = 1;
        s->shards[0] =
            (struct safetensors_shard){.path = strdup(name), .map = {.data = data, .size = size}};
        if (s->shards[0].path) st = OK;
    }
    if (st) st = no_memory(err);
    if (!st) st = safetensors_parse(s, 0, err);
    if (!st) st = build_index(s, err);
    if (st)
        safetensors_close(s);
    else
        *out = s;
    return st;
}

void safetensors_close(struct safetensors *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->n; i++) free((char *)s->v[i].name.data);
    for (size_t i = 0; i < s->n_shards; i++) {
        if (s->shards[i].mapped) file_map_close(&s->shards[i].map);
        free(s->shards[i].path);
    }
    free(s->shards);
    free(s->v);
    free(s->by_name);
    free(s);
}

/* ---- what is inside ---------------------------------------------------------------------------
 */

size_t safetensors_count(const struct safetensors *s)
{
    return s->n;
}

const struct safetensor *safetensors_at(const struct safetensors *s, size_t i)
{
    return &s->v[i];
}

const struct safetensor *safetensors_find(const struct safetensors *s, const char *name)
{
    return gguf_index_find(s->by_name, s->n, name);
}

size_t safetensors_n_shards(const struct safetensors *s)
{
    return s->n_shards;
}

uint64_t safetensors_bytes(const struct safetensors *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s->n_shards; i++) n += s->shards[i].map.size;
    return n;
}

enum status safetensors_identity(const struct safetensors *s, char hex[SHA256_HEX_SIZE],
                                 struct error *err)
{
    struct sha256 h;
    uint8_t digest[SHA256_BYTES];
    enum status st = sha256_init(&h);
    if (st) return error_set(err, st, "SHA-256 is not available: %s", status_name(st));
    for (size_t i = 0; i < s->n_shards; i++) {
        const struct safetensors_shard *sh = &s->shards[i];
        char facts[160];
        int n = snprintf(facts, sizeof facts, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 "\n",
                         sh->map.dev, sh->map.ino, sh->map.size, sh->map.mtime_ns);
        sha256_update(&h, sh->path, strlen(sh->path) + 1);
        sha256_update(&h, facts, (size_t)n);
        sha256_update(&h, sh->map.data, (size_t)sh->header_bytes);
    }
    st = sha256_final(&h, digest);
    sha256_fini(&h);
    if (st) return error_set(err, st, "SHA-256 failed: %s", status_name(st));
    sha256_hex(digest, hex);
    return OK;
}

void safetensors_release_pages(const struct safetensors *s, const struct safetensor *t)
{
    if (!s->shards[t->shard].mapped) return;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)t->data + page - 1) & ~(page - 1);
    uintptr_t to = ((uintptr_t)t->data + t->size) & ~(page - 1);
    if (to > from) madvise((void *)from, to - from, MADV_DONTNEED);
}
