#include "trust/filetree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

enum { CHUNK_BYTES = 1 << 20 };

struct walk {
    const struct filetree_options *opt;
    const char *root; /* for messages */
    struct filetree *tree;
    unsigned char *chunk;
    uint64_t done;
    struct error *err;
};

bool filetree_name_valid(const char *name)
{
    if (strcmp(name, ".") == 0) return true;
    size_t len = strlen(name);
    if (len == 0 || len >= FILETREE_NAME_SIZE) return false;
    for (const char *p = name;;) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        p += n;
        if (!*p) return true;
        p++;
    }
}

int filetree_name_compare(const char *a, const char *b)
{
    for (;; a++, b++) {
        /* The end of a part sorts before any character of a longer one. */
        int x = *a == 0 ? -1 : *a == '/' ? 0 : (unsigned char)*a;
        int y = *b == 0 ? -1 : *b == '/' ? 0 : (unsigned char)*b;
        if (x != y) return x - y;
        if (x < 0) return 0;
    }
}

static int by_name(const void *a, const void *b)
{
    return filetree_name_compare(((const struct filetree_file *)a)->name,
                                 ((const struct filetree_file *)b)->name);
}

enum status filetree_add(struct filetree *t, const char *name, const uint8_t digest[SHA256_BYTES],
                         struct error *err)
{
    if (t->n >= FILETREE_MAX_FILES)
        return error_set(err, ERR_LIMIT, "more than %d files in one model", FILETREE_MAX_FILES);
    if ((t->n & (t->n - 1)) == 0) {
        struct filetree_file *p = realloc(t->files, (t->n ? 2 * t->n : 1) * sizeof *p);
        if (!p) return error_set(err, ERR_NOMEM, "out of memory");
        t->files = p;
    }
    char *copy = strdup(name);
    if (!copy) return error_set(err, ERR_NOMEM, "out of memory");
    t->files[t->n].name = copy;
    memcpy(t->files[t->n++].digest, digest, SHA256_BYTES);
    return OK;
}

void filetree_fini(struct filetree *t)
{
    for (size_t i = 0; i < t->n; i++) free(t->files[i].name);
    free(t->files);
    *t = (struct filetree){0};
}

static bool is_utf8(const char *s)
{
    json_t *j = json_string(s);
    json_decref(j);
    return j != NULL;
}

static bool ignored(const struct walk *w, const char *name)
{
    for (size_t i = 0; i < w->opt->n_ignore; i++) {
        const char *p = w->opt->ignore[i];
        size_t n = strlen(p);
        if (strncmp(name, p, n) == 0 && (name[n] == 0 || name[n] == '/')) return true;
    }
    return false;
}

static enum status hash_file(struct walk *w, int fd, const char *name)
{
    struct sha256 hash;
    uint8_t digest[SHA256_BYTES];
    enum status st = sha256_init(&hash);
    if (st) return error_set(w->err, st, "out of memory");
    for (;;) {
        ssize_t n = read(fd, w->chunk, CHUNK_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            st = error_set(w->err, ERR_IO, "cannot read %s in %s: %s", name, w->root,
                           strerror(errno));
        if (n <= 0) break;
        sha256_update(&hash, w->chunk, (size_t)n);
        w->done += (uint64_t)n;
        if (w->opt->progress && !w->opt->progress(w->opt->ctx, w->done)) {
            st = error_set(w->err, ERR_CANCELLED, "interrupted while hashing %s", w->root);
            break;
        }
    }
    if (st == OK && (st = sha256_final(&hash, digest)) != OK)
        error_set(w->err, st, "cannot hash %s", name);
    sha256_fini(&hash);
    return st ? st : filetree_add(w->tree, name, digest, w->err);
}

static enum status not_a_file(struct walk *w, const char *name, bool link)
{
    if (link)
        return error_set(w->err, ERR_UNSUPPORTED, "%s in %s is a symbolic link%s", name, w->root,
                         w->opt->follow_links ? " to a folder or to nothing"
                                              : "; to follow links to files: --allow-symlinks");
    return error_set(w->err, ERR_UNSUPPORTED, "%s in %s is neither a file nor a folder", name,
                     w->root);
}

static enum status walk_folder(struct walk *w, int fd, const char *prefix, unsigned depth);

/* An entry of the folder `dir`; `name` is its path in the model. Takes what is opened, so that
 * nothing can be put in its place between the look and the reading. */
static enum status visit(struct walk *w, int dir, const char *entry, const char *name,
                         unsigned depth)
{
    struct stat sb;
    if (fstatat(dir, entry, &sb, AT_SYMLINK_NOFOLLOW) != 0)
        return error_set(w->err, ERR_IO, "cannot look at %s in %s: %s", name, w->root,
                         strerror(errno));
    bool link = S_ISLNK(sb.st_mode);
    if (link && !w->opt->follow_links) return not_a_file(w, name, true);
    if (!link && !S_ISREG(sb.st_mode) && !S_ISDIR(sb.st_mode)) return not_a_file(w, name, false);
    if (ignored(w, name)) return OK;
    if (!is_utf8(name))
        return error_set(w->err, ERR_UNSUPPORTED,
                         "a file name in %s is no UTF-8, which signatures cannot hold", w->root);
    int fd = openat(dir, entry, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (link ? 0 : O_NOFOLLOW));
    if (fd < 0 || fstat(fd, &sb) != 0) {
        enum status st =
            error_set(w->err, ERR_IO, "cannot open %s in %s: %s", name, w->root, strerror(errno));
        if (fd >= 0) close(fd);
        return st;
    }
    enum status st;
    if (S_ISDIR(sb.st_mode) && !link) return walk_folder(w, fd, name, depth + 1);
    if (S_ISREG(sb.st_mode))
        st = hash_file(w, fd, name);
    else
        st = not_a_file(w, name, link);
    close(fd);
    return st;
}

/* Owns fd. */
static enum status walk_folder(struct walk *w, int fd, const char *prefix, unsigned depth)
{
    enum status st = OK;
    DIR *d = depth > FILETREE_MAX_DEPTH ? NULL : fdopendir(fd);
    if (!d) {
        close(fd);
        if (depth > FILETREE_MAX_DEPTH)
            return error_set(w->err, ERR_LIMIT, "folders in %s are nested more than %d deep",
                             w->root, FILETREE_MAX_DEPTH);
        return error_set(w->err, ERR_IO, "cannot list %s: %s", w->root, strerror(errno));
    }
    char *name = malloc(FILETREE_NAME_SIZE);
    if (!name) st = error_set(w->err, ERR_NOMEM, "out of memory");
    while (st == OK) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e && errno)
            st = error_set(w->err, ERR_IO, "cannot list %s: %s", w->root, strerror(errno));
        if (!e) break;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        int n = snprintf(name, FILETREE_NAME_SIZE, "%s%s%s", prefix, *prefix ? "/" : "", e->d_name);
        if (n >= FILETREE_NAME_SIZE)
            st = error_set(w->err, ERR_LIMIT, "a path in %s is too long", w->root);
        else
            st = visit(w, dirfd(d), e->d_name, name, depth);
    }
    free(name);
    closedir(d);
    return st;
}

enum status filetree_read(const char *path, const struct filetree_options *opt,
                          struct filetree *out, struct error *err)
{
    static const struct filetree_options none;
    struct walk w = {.opt = opt ? opt : &none, .root = path, .tree = out, .err = err};
    struct stat sb;
    enum status st;
    *out = (struct filetree){0};
    if (!(w.chunk = malloc(CHUNK_BYTES))) return error_set(err, ERR_NOMEM, "out of memory");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (w.opt->follow_links ? 0 : O_NOFOLLOW));
    if (fd < 0 && errno == ELOOP)
        st = not_a_file(&w, path, true);
    else if (fd < 0 || fstat(fd, &sb) != 0)
        st = error_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open %s: %s", path,
                       strerror(errno));
    else if (S_ISDIR(sb.st_mode)) {
        st = walk_folder(&w, fd, "", 0);
        fd = -1;
    } else if (S_ISREG(sb.st_mode))
        st = hash_file(&w, fd, ".");
    else
        st = not_a_file(&w, path, false);
    if (fd >= 0) close(fd);
    free(w.chunk);
    if (st)
        filetree_fini(out);
    else if (out->n)
        qsort(out->files, out->n, sizeof *out->files, by_name);
    return st;
}

enum status filetree_root(const struct filetree *t, uint8_t digest[SHA256_BYTES])
{
    struct sha256 hash;
    enum status st = sha256_init(&hash);
    if (st) return st;
    for (size_t i = 0; i < t->n; i++) sha256_update(&hash, t->files[i].digest, SHA256_BYTES);
    return sha256_final(&hash, digest);
}

/* "changed: a, b and 3 more; " of the files that `what` applies to. */
struct difference {
    const char *what;
    char names[160];
    size_t n;
};

static void note(struct difference *d, const char *name)
{
    size_t used = strlen(d->names);
    if (d->n++ < 3 && used < sizeof d->names)
        snprintf(d->names + used, sizeof d->names - used, "%s%.60s", used ? ", " : "", name);
}

static void words(const struct difference *d, char *dst, size_t cap)
{
    size_t used = strlen(dst);
    if (!d->n || used >= cap) return;
    snprintf(dst + used, cap - used, "%s%zu %s (%s%s)", used ? ", " : "", d->n, d->what, d->names,
             d->n > 3 ? ", ..." : "");
}

enum status filetree_compare(const struct filetree *due, const struct filetree *actual,
                             struct error *err)
{
    struct difference missing = {.what = "missing"}, extra = {.what = "not signed"},
                      changed = {.what = "changed"};
    bool *seen = calloc(actual->n + 1, sizeof *seen);
    if (!seen) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < due->n; i++) {
        const struct filetree_file *d = &due->files[i];
        const struct filetree_file *a =
            actual->n ? bsearch(d, actual->files, actual->n, sizeof *a, by_name) : NULL;
        if (!a) {
            note(&missing, d->name);
            continue;
        }
        seen[a - actual->files] = true;
        if (memcmp(a->digest, d->digest, SHA256_BYTES) != 0) note(&changed, d->name);
    }
    for (size_t i = 0; i < actual->n; i++)
        if (!seen[i]) note(&extra, actual->files[i].name);
    free(seen);
    if (!missing.n && !extra.n && !changed.n) return OK;
    char text[640] = "";
    words(&changed, text, sizeof text);
    words(&missing, text, sizeof text);
    words(&extra, text, sizeof text);
    return error_set(err, ERR_INTEGRITY, "the model is not the one that was signed: files %s",
                     text);
}
