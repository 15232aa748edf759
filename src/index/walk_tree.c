#include "index/walk_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "index/ignore.h"

/* A folder on the way from the repository's top to where the walk stands, with its ignore files: the
 * first to speak wins, and an inner folder speaks before an outer one. */
struct level {
    struct ignore_rules rules[2]; /* .hearthignore, .gitignore */
    size_t skip;                  /* bytes of `path` before the part relative to this folder */
};

struct walk {
    const struct walk_options *opt;
    uint64_t max_bytes;
    enum status (*file)(void *ctx, const char *path, const struct stat *st);
    void *ctx;
    struct error *err;
    struct walk_counts counts;
    struct level levels[WALK_MAX_DEPTH];
    size_t n_levels;
    struct ignore_rules exclude;  /* .git/info/exclude, relative to the top */
    char path[2 * WALK_MAX_PATH]; /* from the repository's top, which may lie above the root */
    size_t len;
    size_t root_len; /* of the part above the root, with its slash */
};

/* A link instead of the file is not followed, as in git. */
static enum status read_rules(int dir, const char *name, struct ignore_rules *out)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return OK;
    struct stat st;
    enum status status = OK;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        size_t size = st.st_size > IGNORE_MAX_FILE ? IGNORE_MAX_FILE : (size_t)st.st_size, len = 0;
        char *data = malloc(size);
        if (!data) status = ERR_NOMEM;
        while (data && len < size) {
            ssize_t n = read(fd, data + len, size - len);
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) break;
            len += (size_t)n;
        }
        if (data) status = ignore_parse(data, len, out);
        free(data);
    }
    close(fd);
    return status;
}

static enum status push_level(struct walk *w, int dir)
{
    struct level *l = &w->levels[w->n_levels++];
    *l = (struct level){.skip = w->len};
    if (w->opt->no_ignore) return OK;
    enum status st = read_rules(dir, ".hearthignore", &l->rules[0]);
    return st ? st : read_rules(dir, ".gitignore", &l->rules[1]);
}

static void pop_level(struct walk *w)
{
    struct level *l = &w->levels[--w->n_levels];
    ignore_fini(&l->rules[0]);
    ignore_fini(&l->rules[1]);
}

/* Of w->path, whose last part starts at `name`. */
static bool is_ignored(const struct walk *w, const char *name, bool folder)
{
    for (int kind = 0; kind < 2; kind++) /* our own file has the first word at every depth */
        for (size_t i = w->n_levels; i-- > 0;) {
            enum ignore_verdict v = ignore_match(&w->levels[i].rules[kind], w->path + w->levels[i].skip,
                                                 name, folder);
            if (v != IGNORE_SILENT) return v == IGNORE_OUT;
        }
    return ignore_match(&w->exclude, w->path, name, folder) == IGNORE_OUT;
}

static bool push_name(struct walk *w, const char *name)
{
    size_t n = strlen(name);
    if (w->len + n + 2 > sizeof w->path || w->len - w->root_len + n >= WALK_MAX_PATH) return false;
    memcpy(w->path + w->len, name, n + 1);
    return true;
}

static enum status walk_folder(struct walk *w, int dir);

static enum status enter_folder(struct walk *w, int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        w->counts.unreadable++;
        return OK;
    }
    size_t before = w->len;
    w->len += strlen(name);
    w->path[w->len++] = '/';
    w->path[w->len] = 0;
    enum status st = walk_folder(w, fd);
    w->len = before;
    w->path[before] = 0;
    return st;
}

static enum status visit(struct walk *w, int dir, const struct dirent *e)
{
    const char *name = e->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, ".git") == 0) return OK;
    struct stat st;
    bool known = false;
    unsigned char type = e->d_type;
    if (type == DT_UNKNOWN) {
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return OK;
        known = true;
        type = S_ISREG(st.st_mode) ? DT_REG : S_ISDIR(st.st_mode) ? DT_DIR : DT_LNK;
    }
    if (type != DT_REG && type != DT_DIR) {
        w->counts.special++;
        return OK;
    }
    if (!push_name(w, name)) {
        w->counts.unreadable++;
        return OK;
    }
    enum status status = OK;
    if (is_ignored(w, w->path + w->len, type == DT_DIR)) {
        w->counts.ignored++;
    } else if (type == DT_DIR) {
        if (w->n_levels == WALK_MAX_DEPTH) w->counts.unreadable++;
        else status = enter_folder(w, dir, name);
    } else if (secret_path(w->path)) {
        w->counts.secret++;
    } else if (known || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (!S_ISREG(st.st_mode)) w->counts.special++;
        else if ((uint64_t)st.st_size > w->max_bytes) w->counts.large++;
        else {
            w->counts.files++;
            status = w->file(w->ctx, w->path + w->root_len, &st);
        }
    }
    w->path[w->len] = 0;
    return status;
}

/* Closes `dir`. */
static enum status walk_folder(struct walk *w, int dir)
{
    DIR *d = fdopendir(dir);
    if (!d) {
        close(dir);
        w->counts.unreadable++;
        return OK;
    }
    enum status st = push_level(w, dir);
    w->counts.folders++;
    if (w->opt->folder) {
        char path[WALK_MAX_PATH + 1];
        size_t n = w->len - w->root_len;
        memcpy(path, w->path + w->root_len, n);
        path[n ? n - 1 : 0] = 0;
        w->opt->folder(w->ctx, path);
    }
    const struct dirent *e;
    while (st == OK && (e = readdir(d))) {
        if (w->opt->cancel && *w->opt->cancel) st = error_set(w->err, ERR_CANCELLED, "indexing was stopped");
        if (st == OK) st = visit(w, dir, e);
    }
    pop_level(w);
    closedir(d);
    return st;
}

/* The folders above the root up to the one that holds .git: their rules count, too. Fills levels and
 * path with them; a root in no repository has none. */
static enum status read_above(struct walk *w, const char *real)
{
    char folder[PATH_MAX];
    size_t len = strlen(real), top = 0;
    bool found = false;
    memcpy(folder, real, len + 1);
    for (size_t n = len;;) {
        struct stat st;
        char git[PATH_MAX + 8];
        memcpy(git, real, n);
        memcpy(git + n, "/.git", 6);
        if (lstat(git, &st) == 0) {
            top = n;
            found = true;
            break;
        }
        while (n > 0 && real[n - 1] != '/') n--;
        if (n <= 1) break;
        n--;
    }
    if (!found || w->opt->no_ignore) return OK;
    folder[top] = 0;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return OK;
    enum status st = read_rules(fd, ".git/info/exclude", &w->exclude);
    for (const char *p = real + top; st == OK && *p;) {
        st = push_level(w, fd);
        const char *name = p + 1, *end = strchr(name, '/');
        size_t n = end ? (size_t)(end - name) : strlen(name);
        char part[NAME_MAX + 1];
        if (st || n > NAME_MAX || w->n_levels + 1 >= WALK_MAX_DEPTH) break;
        memcpy(part, name, n);
        part[n] = 0;
        int next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(fd);
        fd = next;
        if (fd < 0) break;
        memcpy(w->path + w->len, part, n);
        w->len += n;
        w->path[w->len++] = '/';
        w->path[w->len] = 0;
        p = name + n;
    }
    if (fd >= 0) close(fd);
    return st;
}

static enum status begin(const char *root, const struct walk_options *opt, struct walk **out, int *fd,
                         struct error *err)
{
    static const struct walk_options none;
    char real[PATH_MAX];
    struct walk *w = calloc(1, sizeof *w);
    if (!w) return error_set(err, ERR_NOMEM, "out of memory for the walk over %s", root);
    w->opt = opt ? opt : &none;
    w->max_bytes = w->opt->max_file_bytes ? w->opt->max_file_bytes : 1 << 20;
    w->err = err;
    enum status st = OK;
    if (!realpath(root, real) || (*fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        st = error_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open the folder %s: %s", root,
                       strerror(errno));
    if (st == OK && (st = read_above(w, real))) {
        error_set(err, st, "out of memory for the ignore files above %s", root);
        close(*fd);
    }
    w->root_len = w->len;
    *out = w;
    return st;
}

static void finish(struct walk *w)
{
    while (w->n_levels) pop_level(w);
    ignore_fini(&w->exclude);
    free(w);
}

enum status walk_files(const char *root, const struct walk_options *opt,
                       enum status (*file)(void *ctx, const char *path, const struct stat *st), void *ctx,
                       struct walk_counts *counts, struct error *err)
{
    struct walk *w = NULL;
    int fd = -1;
    enum status st = begin(root, opt, &w, &fd, err);
    if (st == OK) {
        w->file = file;
        w->ctx = ctx;
        st = walk_folder(w, fd);
        if (st == ERR_NOMEM) error_set(err, st, "out of memory for the walk over %s", root);
    }
    if (counts && w) *counts = w->counts;
    if (w) finish(w);
    return st;
}

bool walk_has(const char *root, const struct walk_options *opt, const char *path, struct stat *st)
{
    struct walk *w = NULL;
    int fd = -1;
    bool has = false;
    if (begin(root, opt, &w, &fd, NULL) == OK) {
        has = push_level(w, fd) == OK;
        for (const char *p = path; has && *p;) {
            const char *end = strchr(p, '/');
            char name[NAME_MAX + 1];
            size_t n = end ? (size_t)(end - p) : strlen(p);
            if (n == 0 || n > NAME_MAX || w->n_levels == WALK_MAX_DEPTH) has = false;
            if (!has) break;
            memcpy(name, p, n);
            name[n] = 0;
            has = strcmp(name, ".git") != 0 && strcmp(name, "..") != 0 && push_name(w, name) &&
                  fstatat(fd, name, st, AT_SYMLINK_NOFOLLOW) == 0 &&
                  (end ? S_ISDIR(st->st_mode) : S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)) &&
                  !is_ignored(w, w->path + w->len, S_ISDIR(st->st_mode)) &&
                  !(S_ISREG(st->st_mode) && (secret_path(w->path) || (uint64_t)st->st_size > w->max_bytes));
            if (!has || !end) break;
            int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
            if (next < 0) has = false;
            close(fd);
            fd = next;
            w->len += n;
            w->path[w->len++] = '/';
            w->path[w->len] = 0;
            if (has) has = push_level(w, fd) == OK;
            p = end + 1;
        }
        if (fd >= 0) close(fd);
    }
    if (w) finish(w);
    return has;
}
