/* Following a folder by inotify(7). */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "index/index.h"
#include "index/walk_tree.h"

enum { MAX_CHANGED = 256, MAX_WATCHES = 1 << 22 };
static const double quiet_seconds = 0.05, most_seconds = 0.5, sweep_seconds = 5, tidy_seconds = 0.02;

struct watch {
    const char *root;
    const struct index_update_options *opt;
    int fd;
    char **folders; /* by watch descriptor; owned */
    size_t n_folders;
    char *changed[MAX_CHANGED]; /* owned */
    size_t n_changed;
    bool whole;  /* the changed paths do not tell all */
    bool few;    /* the system has no more watches: sweep from time to time */
    double first, last; /* of the events that wait */
};

static void add_folder(void *ctx, const char *path)
{
    struct watch *w = ctx;
    char full[2 * WALK_MAX_PATH];
    if (snprintf(full, sizeof full, "%s/%s", w->root, path) >= (int)sizeof full) return;
    int wd = inotify_add_watch(w->fd, full, IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                                IN_DELETE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW);
    if (wd < 0 || wd >= MAX_WATCHES) {
        w->few = w->few || errno == ENOSPC || errno == ENOMEM || wd >= MAX_WATCHES;
        return;
    }
    if ((size_t)wd >= w->n_folders) {
        size_t n = (size_t)wd + 256;
        char **more = realloc(w->folders, n * sizeof *more);
        if (!more) {
            w->few = true;
            return;
        }
        memset(more + w->n_folders, 0, (n - w->n_folders) * sizeof *more);
        w->folders = more;
        w->n_folders = n;
    }
    free(w->folders[wd]);
    w->folders[wd] = strdup(path);
}

static enum status skip_file(void *ctx, const char *path, const struct stat *st)
{
    (void)ctx;
    (void)path;
    (void)st;
    return OK;
}

static enum status watch_folders(struct watch *w, struct error *err)
{
    struct walk_options opt = {.no_ignore = w->opt->no_ignore, .cancel = w->opt->cancel, .folder = add_folder};
    return walk_files(w->root, &opt, skip_file, w, NULL, err);
}

static void note(struct watch *w, const struct inotify_event *e)
{
    double now = clock_now();
    if (w->n_changed == 0 && !w->whole) w->first = now;
    w->last = now;
    if (e->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF) || (e->mask & IN_ISDIR && !(e->mask & IN_CLOSE_WRITE))) {
        w->whole = true;
        return;
    }
    if (e->mask & IN_CREATE || e->len == 0) return; /* its contents come with IN_CLOSE_WRITE */
    const char *folder = e->wd >= 0 && (size_t)e->wd < w->n_folders ? w->folders[e->wd] : NULL;
    char *path = NULL;
    if (!folder || w->n_changed == MAX_CHANGED || asprintf(&path, "%s%s%s", folder, *folder ? "/" : "", e->name) < 0) {
        w->whole = true;
        return;
    }
    for (size_t i = 0; i < w->n_changed; i++)
        if (strcmp(w->changed[i], path) == 0) {
            free(path);
            return;
        }
    w->changed[w->n_changed++] = path;
}

static void read_events(struct watch *w)
{
    char bytes[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;
    while ((n = read(w->fd, bytes, sizeof bytes)) > 0)
        for (char *p = bytes; p < bytes + n;) {
            const struct inotify_event *e = (const struct inotify_event *)p;
            note(w, e);
            p += sizeof *e + e->len;
        }
}

static void forget_changed(struct watch *w)
{
    while (w->n_changed) free(w->changed[--w->n_changed]);
    w->whole = false;
}

/* ERR_BUSY: another update runs, and ours comes after it. */
static enum status bring_up(struct watch *w, bool whole, void (*updated)(void *ctx, const struct index_counts *counts),
                            struct error *err)
{
    struct index_counts counts;
    if (whole) {
        enum status st = watch_folders(w, err);
        if (st) return st;
    }
    enum status st = whole ? index_update(w->root, w->opt, &counts, err)
                           : index_update_paths(w->root, w->opt, (const char *const *)w->changed, w->n_changed, &counts, err);
    if (st == OK) {
        forget_changed(w);
        if (updated && (counts.written || counts.removed || whole)) updated(w->opt->ctx, &counts);
    }
    return st;
}

/* A moment's merging; whether more is left. A damaged index is for a whole update to make anew; what else fails
 * here fails, and is told, in the next update. */
static bool tidy(struct watch *w)
{
    bool done = true;
    struct error ignored = {0};
    if (w->opt->busy && w->opt->busy(w->opt->ctx)) return true;
    enum status st = index_tidy(w->root, w->opt, tidy_seconds, &done, &ignored);
    if (st == ERR_INTEGRITY || st == ERR_NOT_FOUND) {
        w->whole = true;
        w->first = w->last = clock_now();
    }
    return st == ERR_BUSY || (st == OK && !done);
}

static enum status follow(struct watch *w, void (*updated)(void *ctx, const struct index_counts *counts), struct error *err)
{
    double swept = clock_now();
    bool untidy = true;
    enum status st = OK;
    while (st == OK && !*w->opt->cancel) {
        struct pollfd p = {.fd = w->fd, .events = POLLIN};
        bool waiting = w->n_changed || w->whole;
        poll(&p, 1, waiting ? 10 : 100);
        read_events(w);
        double now = clock_now();
        if (!waiting && untidy) untidy = tidy(w);
        bool due = waiting && (now - w->last > quiet_seconds || now - w->first > most_seconds);
        if (!due && !(w->few && now - swept > sweep_seconds)) continue;
        st = bring_up(w, w->whole || !due, updated, err);
        swept = clock_now();
        untidy = untidy || st == OK;
        if (st == ERR_BUSY) {
            w->first = w->last = swept;
            st = OK;
        }
    }
    return st == ERR_CANCELLED ? OK : st;
}

enum status index_watch(const char *root, const struct index_update_options *opt,
                        void (*updated)(void *ctx, const struct index_counts *counts), struct error *err)
{
    if (!opt->cancel) return error_set(err, ERR_INVALID, "a watch needs a flag that ends it");
    struct watch w = {.root = root, .opt = opt, .fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
    if (w.fd < 0) return error_set(err, ERR_IO, "cannot watch %s: %s", root, strerror(errno));
    /* Watches first: what changes during the update is seen, too. */
    enum status st = bring_up(&w, true, updated, err);
    if (st == OK) st = follow(&w, updated, err);
    else if (st == ERR_CANCELLED) st = OK;
    forget_changed(&w);
    for (size_t i = 0; i < w.n_folders; i++) free(w.folders[i]);
    free(w.folders);
    close(w.fd);
    return st;
}
