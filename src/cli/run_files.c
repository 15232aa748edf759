/* Files as context: @path in a message. */
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/secret.h"
#include "cli/run.h"

/* A link is judged by what it leads to as well. */
static enum status check_file(const char *path, struct error *err)
{
    char real[PATH_MAX];
    struct stat st;
    if (!realpath(path, real) || stat(real, &st) != 0)
        return error_set(err, ERR_NOT_FOUND, "@%s: there is no such file", path);
    if (secret_path_broad(path) || secret_path_broad(real))
        return error_set(err, ERR_INVALID, "@%s: by its name this file holds secrets, so it is not read", path);
    if (!S_ISREG(st.st_mode)) return error_set(err, ERR_INVALID, "@%s is no file", path);
    if (st.st_size > RUN_MAX_FILE)
        return error_set(err, ERR_LIMIT, "@%s has %lld bytes; %d are the most", path, (long long)st.st_size, RUN_MAX_FILE);
    return OK;
}

/* A fence longer than any run of backticks in the file. */
static void choose_fence(const struct buf *text, char fence[64])
{
    size_t longest = 2, run = 0;
    for (size_t i = 0; i < text->len; i++) {
        run = text->data[i] == '`' ? run + 1 : 0;
        if (run > longest) longest = run;
    }
    if (longest > 60) longest = 60;
    memset(fence, '`', longest + 1);
    fence[longest + 1] = 0;
}

static enum status add_file(const char *path, struct buf *out, struct error *err)
{
    enum status st = check_file(path, err);
    if (st != OK) return st;
    struct buf text;
    char fence[64];
    buf_init(&text, RUN_MAX_FILE);
    st = file_read_all(path, &text, err);
    if (st == OK && text.len && memchr(text.data, 0, text.len))
        st = error_set(err, ERR_FORMAT, "@%s is no text", path);
    choose_fence(&text, fence);
    if (st == OK) {
        bool ends = text.len && text.data[text.len - 1] == '\n';
        st = buf_printf(out, "\n\n%s:\n%s\n%s%s%s\n", path, fence, text.len ? text.data : "", ends ? "" : "\n", fence);
        if (st != OK) error_set(err, st, "the files are larger than %d bytes together", RUN_MAX_FILES);
    }
    buf_fini(&text);
    return st;
}

/* The path behind an @ at `p`: to white space, or in quotes; trailing stops are not part of it. */
static const char *read_path(const char *p, char path[PATH_MAX])
{
    size_t n;
    const char *end;
    if (*p == '"' && (end = strchr(p + 1, '"')) != NULL) {
        n = (size_t)(end - p - 1);
        p++;
        end++;
    } else {
        n = strcspn(p, " \t\r\n\"'`()<>");
        while (n && strchr(".,;:!?", p[n - 1])) n--;
        end = p + n;
    }
    if (n >= PATH_MAX) n = 0;
    memcpy(path, p, n);
    path[n] = 0;
    return end;
}

enum status run_expand_files(const char *text, struct buf *out, struct error *err)
{
    struct buf files;
    char path[PATH_MAX];
    buf_init(&files, RUN_MAX_FILES);
    enum status st = OK;
    for (const char *p = text; st == OK && (p = strchr(p, '@')) != NULL;) {
        bool begins = p == text || isspace((unsigned char)p[-1]) || p[-1] == '(';
        p++;
        if (!begins) continue; /* an address, a decorator behind something */
        const char *end = read_path(p, path);
        /* "@dataclass" is no file unless there is one; "@src/x.c" is meant as one. */
        if (*path && (file_exists(path) || strchr(path, '/') || *p == '"')) {
            st = add_file(path, &files, err);
            p = end;
        }
    }
    if (st == OK) {
        st = buf_append_str(out, text);
        if (st == OK && files.len) st = buf_append(out, files.data, files.len);
        if (st != OK) error_set(err, st, "no memory for the message");
    }
    buf_fini(&files);
    return st;
}
