/* Opening one file or its shards, and what concerns them together. */
#include "gguf/gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gguf/gguf_int.h"

enum {
    IDENTITY_SAMPLE = 128 << 10, /* bytes hashed at each end of a long header */
    SHARD_SUFFIX_LEN = sizeof "-00001-of-00002.gguf" - 1,
};

void gguf_keys_fini(struct gguf_key_list *keys)
{
    free(keys->v);
    free(keys->by_name);
    *keys = (struct gguf_key_list){0};
}

void gguf_close(struct gguf *g)
{
    if (!g) return;
    for (size_t i = 0; i < g->n_shards; i++) {
        if (g->shards[i].mapped) file_map_close(&g->shards[i].map);
        free(g->shards[i].path);
    }
    free(g->shards);
    gguf_keys_fini(&g->keys);
    free(g->tensors.v);
    free(g->tensors.by_name);
    free(g);
}

/* The last part of a shard's name, for 0-based `no`. */
static void shard_suffix(char out[SHARD_SUFFIX_LEN + 8], unsigned no, unsigned count)
{
    snprintf(out, SHARD_SUFFIX_LEN + 8, "-%05u-of-%05u.gguf", no + 1, count);
}

/* `path`, which names shard `no` of `count`, changed to name shard `other`. NULL, and *named_so
 * false, where the path does not follow the pattern; NULL and true without memory. */
static char *sibling_path(const char *path, unsigned no, unsigned other, unsigned count,
                          bool *named_so)
{
    char own[SHARD_SUFFIX_LEN + 8], wanted[SHARD_SUFFIX_LEN + 8];
    shard_suffix(own, no, count);
    shard_suffix(wanted, other, count);
    size_t len = strlen(path);
    *named_so = len >= SHARD_SUFFIX_LEN && strcmp(path + len - SHARD_SUFFIX_LEN, own) == 0;
    if (!*named_so) return NULL;
    char *out = strdup(path);
    if (out) memcpy(out + len - SHARD_SUFFIX_LEN, wanted, SHARD_SUFFIX_LEN);
    return out;
}

struct split {
    unsigned no, count;
};

/* {0, 1} for a file that is not split. */
static enum status read_split(const struct gguf_key_list *keys, const char *path, struct split *out,
                              struct error *err)
{
    uint64_t count = 1, no = 0;
    enum status st = OK;
    if (gguf_keys_find(keys, "split.count"))
        st = gguf_keys_u64(keys, path, "split.count", GGUF_MAX_SHARDS, &count, err);
    if (!st && count > 1) st = gguf_keys_u64(keys, path, "split.no", count - 1, &no, err);
    if (count == 0) count = 1;
    *out = (struct split){(unsigned)no, (unsigned)count};
    return st;
}

static enum status not_the_first(const char *path, struct split s, struct error *err)
{
    bool named_so;
    char *first = sibling_path(path, s.no, 0, s.count, &named_so);
    enum status st =
        error_set(err, ERR_INVALID, "%s is part %u of a model in %u files; open the first%s%s",
                  path, s.no + 1, s.count, first ? ": " : " one", first ? first : "");
    free(first);
    return st;
}

static enum status no_memory(const char *path, struct error *err)
{
    return error_set(err, ERR_NOMEM, "%s: out of memory", path);
}

/* Maps a shard and appends it to g->shards, which has room. */
static enum status map_shard(struct gguf *g, const char *path, struct error *err)
{
    struct gguf_shard *s = &g->shards[g->n_shards];
    *s = (struct gguf_shard){0};
    enum status st = file_map_open(path, &s->map, err);
    if (st) {
        struct stat sb;
        if (st == ERR_INVALID && stat(path, &sb) == 0 && S_ISDIR(sb.st_mode))
            return error_set(err, st, "%s is a folder; name the .gguf file in it", path);
        return st;
    }
    s->mapped = true;
    g->n_shards++;
    g->file_bytes += s->map.size;
    s->path = strdup(path);
    return s->path ? OK : no_memory(path, err);
}

static enum status open_sibling(struct gguf *g, const char *path, struct split expected,
                                struct error *err)
{
    struct gguf_key_list keys = {0};
    struct split found;
    enum status st = map_shard(g, path, err);
    if (st == ERR_NOT_FOUND)
        st =
            error_set(err, ERR_NOT_FOUND,
                      "%s: part %u of %u of the model is missing; download it into the same folder",
                      path, expected.no + 1, expected.count);
    if (!st) st = gguf_parse(&g->shards[g->n_shards - 1], &keys, &g->tensors, err);
    if (!st) st = read_split(&keys, path, &found, err);
    if (!st && (found.no != expected.no || found.count != expected.count))
        st = error_set(err, ERR_FORMAT,
                       "%s: the file is named part %u of %u but says that it is part %u of %u; "
                       "download it again",
                       path, expected.no + 1, expected.count, found.no + 1, found.count);
    gguf_keys_fini(&keys);
    return st;
}

static enum status open_siblings(struct gguf *g, struct error *err)
{
    struct split own;
    const char *path = gguf_path(g);
    enum status st = read_split(&g->keys, path, &own, err);
    if (st || own.count == 1) return st;
    if (own.no != 0) return not_the_first(path, own, err);
    struct gguf_shard *grown = realloc(g->shards, own.count * sizeof *grown);
    if (!grown) return no_memory(path, err);
    g->shards = grown;
    for (unsigned i = 1; i < own.count && !st; i++) {
        bool named_so;
        char *sibling = sibling_path(path, 0, i, own.count, &named_so);
        if (sibling)
            st = open_sibling(g, sibling, (struct split){i, own.count}, err);
        else if (named_so)
            st = no_memory(path, err);
        else
            st = error_set(err, ERR_INVALID,
                           "%s is the first of %u files of a model, but its name does not end in "
                           "'-00001-of-%05u.gguf', so the others cannot be found; rename it",
                           path, own.count, own.count);
        free(sibling);
    }
    uint64_t n = g->tensors.n;
    if (!st && gguf_keys_find(&g->keys, "split.tensors.count"))
        st = gguf_keys_u64(&g->keys, path, "split.tensors.count", GGUF_MAX_TENSORS, &n, err);
    if (!st && n != g->tensors.n)
        st = error_set(err, ERR_FORMAT,
                       "%s: the model should have %" PRIu64
                       " tensors but its %u files hold %zu; they do "
                       "not belong together",
                       path, n, own.count, g->tensors.n);
    return st;
}

static const struct gguf_shard *shard_of(const struct gguf *g, const struct gguf_tensor *t)
{
    for (size_t i = 0; i < g->n_shards; i++) {
        const struct file_map *m = &g->shards[i].map;
        if (m->data && t->data >= m->data && t->data < m->data + m->size) return &g->shards[i];
    }
    return &g->shards[0];
}

static enum status index_tensors(struct gguf *g, struct error *err)
{
    const struct gguf_str *twice;
    struct gguf_tensor_list *l = &g->tensors;
    if (gguf_index(l->v, l->n, sizeof *l->v, &l->by_name, &twice))
        return no_memory(gguf_path(g), err);
    if (!twice) return OK;
    return error_set(err, ERR_FORMAT, "%s: tensor '%s' occurs twice; the file is damaged",
                     shard_of(g, (const struct gguf_tensor *)twice)->path, gguf_show(*twice).s);
}

static void hash_shard(struct sha256 *h, const struct gguf_shard *s)
{
    const uint64_t facts[] = {s->map.dev, s->map.ino, s->map.size, (uint64_t)s->map.mtime_ns,
                              s->header_bytes};
    sha256_update(h, facts, sizeof facts);
    uint64_t n = s->header_bytes;
    if (n <= 2 * IDENTITY_SAMPLE) {
        sha256_update(h, s->map.data, (size_t)n);
    } else {
        sha256_update(h, s->map.data, IDENTITY_SAMPLE);
        sha256_update(h, s->map.data + n - IDENTITY_SAMPLE, IDENTITY_SAMPLE);
    }
}

static enum status identify(struct gguf *g, struct error *err)
{
    struct sha256 h;
    uint8_t digest[SHA256_BYTES];
    enum status st = sha256_init(&h);
    for (size_t i = 0; i < g->n_shards && !st; i++) hash_shard(&h, &g->shards[i]);
    if (!st) st = sha256_final(&h, digest);
    if (st)
        return error_set(err, st, "%s: cannot compute a SHA-256: %s", gguf_path(g),
                         status_name(st));
    sha256_hex(digest, g->identity);
    return OK;
}

/* The work common to files and memory, once the first shard is in place. Takes over `g`. */
static enum status finish_open(struct gguf *g, enum status st, struct gguf **out, struct error *err)
{
    if (!st) st = gguf_parse(&g->shards[0], &g->keys, &g->tensors, err);
    if (!st) st = open_siblings(g, err);
    if (!st) st = index_tensors(g, err);
    if (!st) st = identify(g, err);
    if (st)
        gguf_close(g);
    else
        *out = g;
    return st;
}

static struct gguf *new_with_one_shard(void)
{
    struct gguf *g = calloc(1, sizeof *g);
    if (g) g->shards = calloc(1, sizeof *g->shards);
    if (g && !g->shards) {
        free(g);
        return NULL;
    }
    return g;
}

enum status gguf_open(const char *path, struct gguf **out, struct error *err)
{
    *out = NULL;
    struct gguf *g = new_with_one_shard();
    if (!g) return no_memory(path, err);
    return finish_open(g, map_shard(g, path, err), out, err);
}

enum status gguf_open_memory(const void *data, size_t size, const char *name, struct gguf **out,
                             struct error *err)
{
    *out = NULL;
    struct gguf *g = new_with_one_shard();
    if (!g) return no_memory(name, err);
    struct gguf_shard *s = &g->shards[0];
    g->n_shards = 1;
    g->file_bytes = size;
    s->map.data = data;
    s->map.size = size;
    s->path = strdup(name);
    return finish_open(g, s->path ? OK : no_memory(name, err), out, err);
}

const char *gguf_path(const struct gguf *g)
{
    return g->shards[0].path;
}

uint32_t gguf_version(const struct gguf *g)
{
    return g->shards[0].version;
}

uint64_t gguf_file_bytes(const struct gguf *g)
{
    return g->file_bytes;
}

const char *gguf_identity(const struct gguf *g)
{
    return g->identity;
}

size_t gguf_n_keys(const struct gguf *g)
{
    return g->keys.n;
}

struct gguf_str gguf_key_name(const struct gguf *g, size_t i)
{
    return g->keys.v[i].name;
}

enum gguf_type gguf_key_type(const struct gguf *g, size_t i)
{
    return g->keys.v[i].type;
}

size_t gguf_n_tensors(const struct gguf *g)
{
    return g->tensors.n;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i)
{
    return &g->tensors.v[i];
}

const struct gguf_tensor *gguf_tensor_find(const struct gguf *g, const char *name)
{
    return gguf_index_find(g->tensors.by_name, g->tensors.n, name);
}

void gguf_tensor_release_pages(const struct gguf *g, const struct gguf_tensor *t)
{
    if (!shard_of(g, t)->mapped) return;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    /* Outwards: the neighbours' pages come back by themselves when they are read. Advice only: a
     * refusal changes nothing. */
    uintptr_t begin = (uintptr_t)t->data & ~(page - 1);
    uintptr_t end = ((uintptr_t)t->data + (uintptr_t)t->size + page - 1) & ~(page - 1);
    madvise((void *)begin, end - begin, MADV_DONTNEED);
}
