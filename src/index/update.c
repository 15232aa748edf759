/* An update: look at all files, read and parse those that changed on several threads, write on one. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/machine.h"
#include "base/sha256.h"
#include "index/index.h"
#include "index/known.h"
#include "index/tidy.h"
#include "index/update.h"
#include "index/walk_tree.h"
#include "index/writer.h"

enum {
    QUEUE = 64,                  /* parsed files that wait for the writer */
    QUEUE_BYTES = 64 << 20,
    BULK_FILES = 300,            /* from so many on, the full text is merged once at the end */
    MAX_THREADS = 64,
    MOST_UNASKED = 6,            /* threads; one writer takes in what about so many read */
};

struct update {
    const char *root;
    const struct index_update_options *opt;
    struct db db;
    struct known known;
    size_t *work; /* positions in known */
    size_t n_work;
    struct index_counts *counts;
    int root_fd;
    uint64_t max_bytes;

    pthread_mutex_t lock;
    pthread_cond_t filled, freed, ended;
    size_t next;     /* of work */
    struct item {
        size_t file;
        struct parsed parsed;
    } queue[QUEUE];
    size_t head, queued;
    uint64_t queued_bytes;
    int workers;     /* still at work */
    bool whole;      /* all files, and not those of a save, which somebody waits for */
    bool stop;       /* something failed */
    bool written;    /* the writer has ended */
    uint64_t done;
    enum status status; /* the first failure */
    struct error err;
};

char *index_folder(const char *cache, const char *root)
{
    char real[PATH_MAX], hex[SHA256_HEX_SIZE], *out = NULL;
    uint8_t hash[SHA256_BYTES];
    if (!realpath(root, real) || sha256_of(real, strlen(real), hash)) return NULL;
    sha256_hex(hash, hex);
    const char *name = strrchr(real, '/');
    /* The name is for people who look into the folder. */
    if (asprintf(&out, "%s/%.40s-%.16s", cache, name && name[1] ? name + 1 : "root", hex) < 0) return NULL;
    return out;
}

void update_go_idle(bool background)
{
    if (!background) return;
    struct sched_param param = {0};
    sched_setscheduler(0, SCHED_IDLE, &param); /* on Linux, of the calling thread */
    setpriority(PRIO_PROCESS, 0, 19);
}

bool update_wait_turn(const struct index_update_options *opt)
{
    while (!(opt->cancel && *opt->cancel)) {
        if (!opt->busy || !opt->busy(opt->ctx)) return true;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return false;
}

/* Keeps the first failure; with the lock held. */
static void fail(struct update *u, enum status st, const struct error *err)
{
    if (u->status == OK) {
        u->status = st;
        if (err && err->code) u->err = *err;
        else error_set(&u->err, st, st == ERR_CANCELLED ? "indexing was stopped" : "out of memory while indexing");
    }
    u->stop = true;
    pthread_cond_broadcast(&u->filled);
    pthread_cond_broadcast(&u->freed);
}

/* The next file to parse; false when there is none. */
static bool take(struct update *u, size_t *file)
{
    bool has = false;
    if (!update_wait_turn(u->opt)) {
        pthread_mutex_lock(&u->lock);
        fail(u, ERR_CANCELLED, NULL);
        pthread_mutex_unlock(&u->lock);
        return false;
    }
    pthread_mutex_lock(&u->lock);
    while (!u->stop && (u->queued == QUEUE || u->queued_bytes > QUEUE_BYTES)) pthread_cond_wait(&u->freed, &u->lock);
    if (!u->stop && u->next < u->n_work) {
        *file = u->work[u->next++];
        has = true;
    }
    pthread_mutex_unlock(&u->lock);
    return has;
}

static void *worker(void *arg)
{
    struct update *u = arg;
    struct syntax_parser *parser = NULL;
    struct error err = {0};
    size_t at;
    update_go_idle(u->opt->background);
    enum status st = syntax_parser_create(&parser, &err);
    while (st == OK && take(u, &at)) {
        struct item item = {.file = at};
        const struct known_file *f = &u->known.list[at];
        st = parse_file(u->root_fd, f->path, u->max_bytes, f->indexed ? f->hash : NULL, parser, &item.parsed);
        if (st) {
            parsed_fini(&item.parsed);
            break;
        }
        pthread_mutex_lock(&u->lock);
        /* Each worker may overshoot by one: `take` waited for a free place before. */
        while (!u->stop && u->queued == QUEUE) pthread_cond_wait(&u->freed, &u->lock);
        if (u->stop) {
            parsed_fini(&item.parsed);
        } else {
            u->queue[(u->head + u->queued++) % QUEUE] = item;
            u->queued_bytes += item.parsed.text.len;
            pthread_cond_signal(&u->filled);
        }
        pthread_mutex_unlock(&u->lock);
    }
    syntax_parser_destroy(parser);
    pthread_mutex_lock(&u->lock);
    if (st) fail(u, st, &err);
    u->workers--;
    pthread_cond_broadcast(&u->filled);
    pthread_mutex_unlock(&u->lock);
    return NULL;
}

static bool next_item(struct update *u, struct item *out)
{
    pthread_mutex_lock(&u->lock);
    while (!u->stop && u->queued == 0 && u->workers > 0) pthread_cond_wait(&u->filled, &u->lock);
    bool has = !u->stop && u->queued > 0;
    if (has) {
        *out = u->queue[u->head];
        u->head = (u->head + 1) % QUEUE;
        u->queued--;
        u->queued_bytes -= out->parsed.text.len;
        pthread_cond_broadcast(&u->freed);
    }
    pthread_mutex_unlock(&u->lock);
    return has;
}

static enum status write_item(struct update *u, struct writer *w, struct item *item)
{
    struct known_file *f = &u->known.list[item->file];
    struct parsed *p = &item->parsed;
    switch (p->result) {
    case PARSE_NEW:
    case PARSE_SAME:
    case PARSE_BINARY:
        u->counts->read++;
        u->counts->bytes += p->text.len;
        return writer_put(w, f->path, p);
    case PARSE_GONE: return writer_drop(w, f->path);
    case PARSE_UNSTABLE: u->counts->unstable++; return OK;
    case PARSE_FAILED: u->counts->failed++; return OK;
    }
    return OK;
}

static enum status write_all(struct update *u, struct writer *w, struct error *err)
{
    enum status st = writer_init(w, &u->db, u->counts, err);
    bool bulk = u->n_work >= BULK_FILES;
    if (st == OK && bulk) st = writer_bulk(w, true);
    for (size_t i = 0; i < u->known.n && st == OK; i++)
        if (u->known.list[i].indexed && !u->known.list[i].seen) st = writer_drop(w, u->known.list[i].path);
    struct item item;
    while (st == OK && next_item(u, &item)) {
        st = write_item(u, w, &item);
        parsed_fini(&item.parsed);
        __atomic_add_fetch(&u->done, 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_lock(&u->lock);
    bool stopped = u->stop;
    pthread_mutex_unlock(&u->lock);
    /* What is whole is kept, also when the person stops it. */
    if (st == OK && stopped) st = writer_commit(w);
    if (st == OK && !stopped) st = writer_finish(w);
    if (st == OK && !stopped && bulk) st = writer_bulk(w, false);
    if (st == OK && !stopped && (bulk || u->whole)) {
        st = writer_tidy(w, bulk, u->opt->cancel);
        if (st == ERR_IO) st = OK; /* a full disk: all is kept, and merged another time */
    }
    writer_fini(w);
    return st;
}

static void *write_thread(void *arg)
{
    struct update *u = arg;
    struct writer *w = calloc(1, sizeof *w);
    struct error err = {0};
    update_go_idle(u->opt->background);
    enum status st = w ? write_all(u, w, &err) : ERR_NOMEM;
    free(w);
    pthread_mutex_lock(&u->lock);
    if (st) fail(u, st, &err);
    u->written = true;
    pthread_cond_broadcast(&u->ended);
    pthread_mutex_unlock(&u->lock);
    return NULL;
}

static void report(struct update *u, enum index_stage stage)
{
    if (u->opt->progress)
        u->opt->progress(u->opt->ctx, stage, __atomic_load_n(&u->done, __ATOMIC_RELAXED), u->n_work);
}

/* Parses and writes u->work; files of the index that were not seen go. */
static enum status run_threads(struct update *u)
{
    pthread_t threads[MAX_THREADS + 1];
    int wanted = u->opt->threads > 0 ? u->opt->threads : machine_physical_cores(), n = 0;
    if (u->opt->threads <= 0 && wanted < 2) wanted = 2;
    if (u->opt->threads <= 0 && wanted > MOST_UNASKED) wanted = MOST_UNASKED;
    if (wanted > MAX_THREADS) wanted = MAX_THREADS;
    if ((size_t)wanted > u->n_work) wanted = (int)u->n_work;
    u->workers = wanted;
    for (; n < wanted; n++)
        if (pthread_create(&threads[n], NULL, worker, u) != 0) break;
    pthread_t writer;
    bool writing = (n > 0 || wanted == 0) && pthread_create(&writer, NULL, write_thread, u) == 0;
    pthread_mutex_lock(&u->lock);
    u->workers -= wanted - n;
    if (!writing) {
        struct error err = {0};
        error_set(&err, ERR_NOMEM, "cannot start the threads that index: %s", strerror(errno));
        fail(u, ERR_NOMEM, &err);
        u->written = true;
    }
    while (!u->written) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_nsec += 100000000;
        t.tv_sec += t.tv_nsec / 1000000000;
        t.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&u->ended, &u->lock, &t);
        pthread_mutex_unlock(&u->lock);
        report(u, INDEX_STAGE_READING);
        pthread_mutex_lock(&u->lock);
    }
    pthread_mutex_unlock(&u->lock);
    for (int i = 0; i < n; i++) pthread_join(threads[i], NULL);
    if (writing) pthread_join(writer, NULL);
    for (; u->queued; u->queued--, u->head = (u->head + 1) % QUEUE) parsed_fini(&u->queue[u->head].parsed);
    return u->status;
}

static enum status collect_work(struct update *u, struct error *err)
{
    u->work = malloc((u->known.n ? u->known.n : 1) * sizeof *u->work);
    if (!u->work) return error_set(err, ERR_NOMEM, "out of memory for the list of files");
    for (size_t i = 0; i < u->known.n; i++)
        if (u->known.list[i].seen && u->known.list[i].changed) u->work[u->n_work++] = i;
    return OK;
}

static enum status see(void *ctx, const char *path, const struct stat *st)
{
    struct update *u = ctx;
    struct parse_stat s = parse_stat_of(st);
    return known_see(&u->known, path, &s);
}

static struct walk_options walk_options_of(const struct update *u)
{
    return (struct walk_options){
        .max_file_bytes = u->max_bytes, .no_ignore = u->opt->no_ignore, .cancel = u->opt->cancel};
}

static enum status look_everywhere(struct update *u, struct error *err)
{
    struct walk_options opt = walk_options_of(u);
    struct walk_counts c;
    enum status st = known_load(&u->known, &u->db, err);
    if (st == OK) st = walk_files(u->root, &opt, see, u, &c, err);
    if (st) return st;
    u->counts->folders = c.folders;
    u->counts->ignored = c.ignored;
    u->counts->secret = c.secret;
    u->counts->large = c.large;
    return OK;
}

/* What the index has of one path: the file, or all files below the folder. */
static enum status load_path(struct update *u, const char *path, struct error *err)
{
    sqlite3_stmt *st;
    enum status status = db_prepare(&u->db,
                                    "SELECT path, hash FROM files WHERE path = ?1 OR (path > ?2 AND path < ?3)", &st, err);
    if (status) return status;
    char from[WALK_MAX_PATH + 2], to[WALK_MAX_PATH + 2];
    int n = snprintf(from, sizeof from, "%.*s/", WALK_MAX_PATH, path);
    snprintf(to, sizeof to, "%.*s0", WALK_MAX_PATH, path); /* '0' follows '/' */
    sqlite3_bind_blob(st, 1, path, n - 1, SQLITE_STATIC);
    sqlite3_bind_blob(st, 2, from, n, SQLITE_STATIC);
    sqlite3_bind_blob(st, 3, to, n, SQLITE_STATIC);
    int rc;
    while (status == OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        char found[2 * WALK_MAX_PATH];
        size_t len = (size_t)sqlite3_column_bytes(st, 0), at;
        if (len >= sizeof found) continue;
        memcpy(found, sqlite3_column_blob(st, 0), len);
        found[len] = 0;
        status = known_get(&u->known, found, &at);
        if (status) break;
        u->known.list[at].indexed = true;
        if (sqlite3_column_bytes(st, 1) == SHA256_BYTES)
            memcpy(u->known.list[at].hash, sqlite3_column_blob(st, 1), SHA256_BYTES);
    }
    if (status == OK && rc != SQLITE_DONE) status = db_fail(&u->db, "reading the index", err);
    sqlite3_finalize(st);
    return status;
}

/* *whole: these paths cannot be told alone (a folder, an ignore file). */
static enum status look_at(struct update *u, const char *const *paths, size_t n, bool *whole, struct error *err)
{
    struct walk_options opt = walk_options_of(u);
    enum status st = OK;
    *whole = false;
    for (size_t i = 0; i < n && st == OK && !*whole; i++) {
        const char *slash = strrchr(paths[i], '/'), *name = slash ? slash + 1 : paths[i];
        struct stat s;
        *whole = strcmp(name, ".gitignore") == 0 || strcmp(name, ".hearthignore") == 0;
        if (*whole) break;
        st = load_path(u, paths[i], err);
        if (st || !walk_has(u->root, &opt, paths[i], &s)) continue;
        size_t at;
        *whole = S_ISDIR(s.st_mode);
        if (*whole) break;
        st = known_get(&u->known, paths[i], &at);
        if (st == OK) u->known.list[at].seen = u->known.list[at].changed = true;
    }
    return st;
}

/* One try; ERR_INTEGRITY where the database turned out damaged on the way. */
static enum status update_once(struct update *u, const char *const *paths, size_t n, struct error *err)
{
    known_fini(&u->known);
    free(u->work);
    u->work = NULL;
    u->n_work = u->next = u->head = u->queued = 0;
    u->queued_bytes = u->done = 0;
    u->stop = u->written = false;
    u->status = OK;
    u->err = (struct error){0};
    bool rebuilt = u->counts->rebuilt, whole = !paths;
    *u->counts = (struct index_counts){.rebuilt = rebuilt};
    report(u, INDEX_STAGE_LOOKING);
    enum status st = OK;
    if (paths) st = look_at(u, paths, n, &whole, err);
    if (st == OK && whole) {
        known_fini(&u->known);
        st = look_everywhere(u, err);
    }
    if (st == OK) st = collect_work(u, err);
    if (st) return st;
    u->whole = whole;
    st = run_threads(u);
    if (st) *err = u->err;
    return st;
}

static enum status update(const char *root, const struct index_update_options *opt, const char *const *paths, size_t n,
                          struct index_counts *counts, struct error *err)
{
    struct index_counts mine = {0};
    struct error why = {0};
    struct update *u = calloc(1, sizeof *u);
    char *folder = index_folder(opt->cache, root);
    double start = clock_now();
    if (!u || !folder) {
        free(u);
        free(folder);
        return error_set(err, ERR_NOT_FOUND, "cannot open the folder %s: %s", root, strerror(errno));
    }
    *u = (struct update){.root = root, .opt = opt, .counts = counts ? counts : &mine, .db.lock = -1, .root_fd = -1};
    u->max_bytes = opt->max_file_bytes ? opt->max_file_bytes : 1 << 20;
    if (u->max_bytes > SYNTAX_MAX_BYTES) u->max_bytes = SYNTAX_MAX_BYTES;
    pthread_mutex_init(&u->lock, NULL);
    pthread_cond_init(&u->filled, NULL);
    pthread_cond_init(&u->freed, NULL);
    pthread_cond_init(&u->ended, NULL);
    u->counts->rebuilt = false;
    u->root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum status st = u->root_fd >= 0 ? OK
                                     : error_set(&why, ERR_IO, "cannot open the folder %s: %s", root, strerror(errno));
    if (st == OK && paths) st = db_is_there(folder, &why);
    bool rebuilt = false;
    if (st == OK) st = db_open_writer(folder, opt->rebuild, &u->db, &rebuilt, &why);
    u->counts->rebuilt = rebuilt;
    if (st == OK) st = update_once(u, rebuilt ? NULL : paths, n, &why);
    if (st == ERR_INTEGRITY && u->db.sql) {
        u->counts->rebuilt = true;
        st = db_renew(&u->db, &why);
        if (st == OK) st = update_once(u, NULL, 0, &why);
    }
    if (st == OK) st = db_publish(&u->db, &why);
    if (st) error_set(err, st, "%s", why.msg);
    known_fini(&u->known);
    free(u->work);
    if (st == OK && !u->whole) db_close_soon(&u->db);
    else db_close(&u->db);
    u->counts->seconds = clock_now() - start;
    if (u->root_fd >= 0) close(u->root_fd);
    pthread_mutex_destroy(&u->lock);
    pthread_cond_destroy(&u->filled);
    pthread_cond_destroy(&u->freed);
    pthread_cond_destroy(&u->ended);
    free(u);
    free(folder);
    return st;
}

enum status index_update(const char *root, const struct index_update_options *opt, struct index_counts *counts,
                         struct error *err)
{
    return update(root, opt, NULL, 0, counts, err);
}

enum status index_update_paths(const char *root, const struct index_update_options *opt, const char *const *paths,
                               size_t n, struct index_counts *counts, struct error *err)
{
    return update(root, opt, paths, n, counts, err);
}

enum status index_tidy(const char *root, const struct index_update_options *opt, double seconds, bool *done,
                       struct error *err)
{
    struct db db;
    *done = true;
    char *folder = index_folder(opt->cache, root);
    if (!folder) return error_set(err, ERR_NOT_FOUND, "cannot open the folder %s", root);
    enum status st = db_open_sound(folder, &db, err);
    free(folder);
    if (st) return st;
    st = tidy_merge(&db, false, seconds, opt->cancel, done, err);
    if (st == OK) st = db_exec(&db, "PRAGMA wal_checkpoint(PASSIVE)", err);
    db_close(&db);
    return st;
}
