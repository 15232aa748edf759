#include "index/project_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "index/walk_tree.h"

enum status project_file_path(const char *root, const char *path, char **out, struct error *err)
{
    char real[PATH_MAX];
    *out = NULL;
    if (*path == '/') {
        size_t n = realpath(root, real) ? strlen(real) : 0;
        if (n == 1) n = 0; /* the root of everything */
        if (strncmp(path, real, n) != 0 || path[n] != '/')
            return error_set(err, ERR_INVALID, "%.200s lies outside of the project", path);
        path += n;
    }
    size_t len = strlen(path), at = 0;
    if (len >= WALK_MAX_PATH) return error_set(err, ERR_INVALID, "the path has more than %d bytes", WALK_MAX_PATH - 1);
    char *p = malloc(len + 1);
    if (!p) return error_set(err, ERR_NOMEM, "out of memory");
    for (const char *s = path; *s;) {
        size_t n = strcspn(s, "/");
        if (n == 2 && s[0] == '.' && s[1] == '.') {
            free(p);
            return error_set(err, ERR_INVALID, "a path is relative to the project and goes without \"..\"");
        }
        if (n && !(n == 1 && *s == '.')) {
            if (at) p[at++] = '/';
            memcpy(p + at, s, n);
            at += n;
        }
        s += n + (s[n] == '/');
    }
    p[at] = 0;
    if (at == 0) {
        free(p);
        return error_set(err, ERR_INVALID, "no file is named");
    }
    *out = p;
    return OK;
}

/* Each part by itself: O_NOFOLLOW looks at the last one alone. */
static int open_below(const char *root, const char *path)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0) {
        char name[NAME_MAX + 1];
        size_t n = strcspn(path, "/");
        bool last = path[n] == 0;
        int next = -1;
        if (n <= NAME_MAX) {
            memcpy(name, path, n);
            name[n] = 0;
            next = openat(fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | (last ? 0 : O_DIRECTORY));
        }
        close(fd);
        fd = next;
        if (last) break;
        path += n + 1;
    }
    return fd;
}

enum status project_file_read(const char *root, const char *path, struct buf *out, struct error *err)
{
    struct walk_options opt = {.max_file_bytes = INT64_MAX};
    struct stat st;
    if (secret_path(path))
        return error_set(err, ERR_INVALID, "%.200s: by its name this file holds secrets, so it is not read", path);
    if (!walk_has(root, &opt, path, &st))
        return error_set(err, ERR_NOT_FOUND, "%.200s: there is no such file in the project, or it is an ignored one or a link",
                         path);
    if (!S_ISREG(st.st_mode)) return error_set(err, ERR_INVALID, "%.200s is a folder", path);
    int fd = open_below(root, path);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0) close(fd);
        return error_set(err, ERR_IO, "%.200s cannot be read: %s", path, strerror(errno));
    }
    enum status s = OK;
    size_t before = out->len;
    if (st.st_size > PROJECT_FILE_MAX)
        s = error_set(err, ERR_LIMIT, "%.200s has %lld bytes; %d are the most", path, (long long)st.st_size, PROJECT_FILE_MAX);
    while (s == OK) {
        char piece[16384];
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) s = error_set(err, ERR_IO, "%.200s cannot be read: %s", path, strerror(errno));
        if (n <= 0) break;
        if (memchr(piece, 0, (size_t)n)) s = error_set(err, ERR_INVALID, "%.200s is no text", path);
        if (s == OK && out->len - before + (size_t)n > PROJECT_FILE_MAX)
            s = error_set(err, ERR_LIMIT, "%.200s grew beyond %d bytes", path, PROJECT_FILE_MAX);
        if (s == OK && (s = buf_append(out, piece, (size_t)n))) error_set(err, s, "out of memory");
    }
    close(fd);
    if (s) out->len = before;
    return s;
}
