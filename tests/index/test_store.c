/* The index on disk: what an update reads and finds, and what it is after kills, damage, a full disk and a
 * crowd of readers. Each time the index has to end up the same as one that is made anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "index/db.h"
#include "index/index.h"

static bool quiet; /* errors are expected */
static char top[64], root[96], cache[96];
static struct index_update_options opt;

static uint32_t seed = 1;
static uint32_t rng(void) { return seed = seed * 1664525u + 1013904223u, seed >> 8; }

static int make(void **state)
{
    (void)state;
    strcpy(top, "/tmp/hearth-index-XXXXXX");
    if (!mkdtemp(top)) return -1;
    snprintf(root, sizeof root, "%s/project", top);
    snprintf(cache, sizeof cache, "%s/cache", top);
    opt = (struct index_update_options){.cache = cache};
    return file_make_dirs(root, NULL);
}

static int clean(void **state)
{
    (void)state;
    char line[128];
    snprintf(line, sizeof line, "rm -rf '%s'", top);
    return system(line);
}

static void write_bytes(const char *path, const char *text, size_t len)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", root, path);
    char *slash = strrchr(full, '/');
    *slash = 0;
    assert_int_equal(file_make_dirs(full, NULL), OK);
    *slash = '/';
    int fd = open(full, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
}

static void put(const char *path, const char *text) { write_bytes(path, text, strlen(text)); }

/* File k in a version: its functions have names of their own. */
static void put_numbered(int k, int version)
{
    char path[64], text[2048];
    int n = 0;
    snprintf(path, sizeof path, "d%d/f%d.py", k % 7, k);
    for (int i = 0; i < 3; i++)
        n += snprintf(text + n, sizeof text - (size_t)n,
                      "def fun_%dx%d(a):\n    # only_%dx%dv%d shared words\n    return helper_%d(a)\n\n\n", k, i, k, i,
                      version, k % 11);
    put(path, text);
}

/* Changes within the clock's grain are read again by design; tests that count stay away from it. */
static void settle(void) { nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL); }

static struct index_counts update(void)
{
    struct index_counts c;
    struct error err = {0};
    if (index_update(root, &opt, &c, &err) != OK) fail_msg("%s", err.msg);
    return c;
}

static struct index *open_index(void)
{
    struct index *ix = NULL;
    struct error err = {0};
    if (index_open(root, cache, &ix, &err) != OK) fail_msg("%s", err.msg);
    return ix;
}

/* Appends what a search finds: "path:line-end name" each. */
static enum status found(struct index *ix, const char *query, bool literal, struct buf *out)
{
    struct index_query q = {.text = query, .literal = literal, .limit = 50, .seconds = 60};
    struct index_hits h;
    struct error err = {0};
    enum status st = index_search(ix, &q, &h, &err);
    for (size_t i = 0; st == OK && i < h.n; i++)
        buf_printf(out, "%s:%u-%u %s\n", strchr(h.list[i].path, '\n') ? "odd" : h.list[i].path, h.list[i].line, h.list[i].end_line, h.list[i].name);
    if (st == OK) index_hits_fini(&h);
    else if (!quiet) fprintf(stderr, "%s\n", err.msg);
    return st;
}

static size_t count(const char *query)
{
    struct index *ix = open_index();
    struct buf b;
    size_t n = 0;
    buf_init(&b, 1 << 20);
    assert_int_equal(found(ix, query, true, &b), OK);
    for (size_t i = 0; i < b.len; i++) n += b.data[i] == '\n';
    buf_fini(&b);
    index_close(ix);
    return n;
}

/* Everything that the index says, in an order that does not depend on how it came about. */
static void dump(const char *where, struct buf *out)
{
    static const char *const queries[] = {
        "SELECT path, size, hex(hash), language, hex(refs) FROM files ORDER BY path",
        "SELECT f.path, p.seq, p.line, p.end_line, hex(c.hash), hex(c.text) FROM places p JOIN files f ON f.id = p.file"
        " JOIN chunks c ON c.id = p.chunk ORDER BY f.path, p.seq",
        "SELECT f.path, d.seq, d.name, d.line, d.kind FROM definitions d JOIN files f ON f.id = d.file ORDER BY 1, 2",
        "SELECT path, hex(hash) FROM folders ORDER BY path",
        /* Each chunk that stands somewhere is found by a word of its own. */
        "SELECT count(*) FROM (SELECT DISTINCT p.chunk FROM places p JOIN fts ON fts.rowid = p.chunk WHERE fts MATCH"
        " '\"helper\" OR \"def\" OR \"x\"')",
    };
    struct db db;
    struct error err = {0};
    char *folder = index_folder(where, root);
    if (db_open_reader(folder, &db, &err) != OK) fail_msg("%s", err.msg);
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        sqlite3_stmt *q;
        assert_int_equal(db_prepare(&db, queries[i], &q, &err), OK);
        int rc;
        while ((rc = sqlite3_step(q)) == SQLITE_ROW)
            for (int k = 0; k < sqlite3_column_count(q); k++)
                buf_printf(out, "%s|", (const char *)sqlite3_column_text(q, k));
        assert_int_equal(rc, SQLITE_DONE);
        sqlite3_finalize(q);
    }
    db_close(&db);
    free(folder);
}

static void assert_as_new(void)
{
    char other[128];
    struct buf a, b;
    struct error err = {0};
    struct index_update_options fresh = {.cache = other};
    snprintf(other, sizeof other, "%s/fresh", top);
    snprintf(other + strlen(other), 16, "%u", rng());
    buf_init(&a, 64 << 20);
    buf_init(&b, 64 << 20);
    assert_int_equal(index_update(root, &fresh, NULL, &err), OK);
    dump(cache, &a);
    dump(other, &b);
    assert_true(a.len > 0);
    assert_string_equal(a.data, b.data);
    buf_fini(&a);
    buf_fini(&b);
}

/* ---- updates ---------------------------------------------------------------------------------- */

static void test_reads_only_what_changed(void **state)
{
    (void)state;
    for (int k = 0; k < 60; k++) put_numbered(k, 1);
    settle();
    struct index_counts c = update();
    assert_int_equal(c.files, 60);
    assert_int_equal(c.read, 60);
    c = update();
    assert_int_equal(c.read, 0);
    settle();
    for (int k = 0; k < 20; k++) put_numbered(k, k < 5 ? 2 : 1); /* 15 are touched only */
    settle();
    c = update();
    assert_int_equal(c.read, 20);
    assert_int_equal(c.written, 5);
    assert_int_equal(count("only_3x1v2"), 1);
    assert_int_equal(count("only_3x1v1"), 0);
    assert_int_equal(count("only_9x1v1"), 1);
    char path[256];
    snprintf(path, sizeof path, "%s/d3/f3.py", root);
    unlink(path);
    c = update();
    assert_int_equal(c.removed, 1);
    assert_int_equal(count("only_3x1v2"), 0);
    assert_as_new();
}

static void test_update_of_paths(void **state)
{
    (void)state;
    struct index_counts c;
    struct error err = {0};
    const char *paths[] = {"d1/f1.py", "d2/f2.py", ".env", "none"};
    assert_int_equal(index_update_paths(root, &opt, paths, 4, &c, &err), ERR_NOT_FOUND);
    for (int k = 0; k < 20; k++) put_numbered(k, 1);
    settle();
    update();
    put_numbered(1, 2);
    put(".env", "SECRET=only_secret");
    char path[256];
    snprintf(path, sizeof path, "%s/d2/f2.py", root);
    unlink(path);
    settle();
    assert_int_equal(index_update_paths(root, &opt, paths, 4, &c, &err), OK);
    assert_int_equal(c.read, 1);
    assert_int_equal(c.removed, 1);
    assert_int_equal(count("only_1x0v2"), 1);
    assert_int_equal(count("only_secret"), 0);
    assert_as_new();
    put(".gitignore", "d3/\n"); /* tells more than itself */
    assert_int_equal(index_update_paths(root, &opt, (const char *[]){".gitignore"}, 1, &c, &err), OK);
    assert_int_equal(count("only_3x0v1"), 0);
    assert_as_new();
}

/* A branch and back: nothing is cut up anew, nothing lost. */
static void test_branches_reuse_chunks(void **state)
{
    (void)state;
    struct index_info a, b, changed;
    struct error err = {0};
    for (int version = 1; version <= 3; version++) {
        for (int k = 0; k < 20; k++) put_numbered(k, version == 3 ? 1 : version);
        settle();
        struct index_counts c = update();
        if (version == 3) assert_int_equal(c.chunks_new, 0);
        else assert_true(c.chunks_new > 0);
        struct index *ix = open_index();
        assert_int_equal(index_info(ix, version == 1 ? &a : version == 2 ? &changed : &b, &err), OK);
        index_close(ix);
    }
    assert_memory_equal(a.tree, b.tree, 32);
    assert_memory_not_equal(a.tree, changed.tree, 32);
    assert_as_new();
}

static void test_symbols(void **state)
{
    (void)state;
    struct index_symbols s;
    struct error err = {0};
    put("a.py", "class Box:\n    def open_it(self):\n        return 1\n");
    put("b.py", "import a\n\ndef use(b):\n    return b.open_it()\n");
    update();
    struct index *ix = open_index();
    assert_int_equal(index_definitions(ix, "open_it", 0, &s, &err), OK);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.list[0].path, "a.py");
    assert_int_equal(s.list[0].line, 2);
    index_symbols_fini(&s);
    assert_int_equal(index_definitions(ix, "Crate.open_it", 0, &s, &err), OK);
    assert_int_equal(s.n, 0);
    assert_int_equal(index_references(ix, "open_it", 0, &s, &err), OK);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.list[0].path, "b.py");
    assert_int_equal(s.list[0].line, 4);
    index_symbols_fini(&s);
    struct buf b;
    buf_init(&b, 4096);
    assert_int_equal(found(ix, "pen_it(se", true, &b), OK);
    assert_non_null(strstr(b.data, "a.py"));
    assert_null(strstr(b.data, "b.py"));
    buf_fini(&b);
    index_close(ix);
}

/* ---- mishaps ---------------------------------------------------------------------------------- */

/* How often each mishap is tried: HEARTH_TEST_KILLS, or a few times. */
static int times(int few)
{
    const char *more = getenv("HEARTH_TEST_KILLS");
    return more ? atoi(more) : few;
}

/* Below SQLite: counts what it writes, and in the middle of the chosen write ends the process, or has no
 * space from then on. */
static struct {
    const sqlite3_io_methods *real[2]; /* of a database, and of a log */
    sqlite3_io_methods methods[2];
    sqlite3_vfs vfs, *below;
    long writes, kill_at, full_at; /* -1: never */
} disk = {.kill_at = -1, .full_at = -1};

static int disk_write(int kind, sqlite3_file *f, const void *p, int n, sqlite3_int64 offset)
{
    long now = __atomic_fetch_add(&disk.writes, 1, __ATOMIC_RELAXED);
    if (now == disk.kill_at) {
        disk.real[kind]->xWrite(f, p, n / 2, offset); /* torn */
        kill(getpid(), SIGKILL);
    }
    if (disk.full_at >= 0 && now >= disk.full_at) return SQLITE_FULL;
    return disk.real[kind]->xWrite(f, p, n, offset);
}

static int write_main(sqlite3_file *f, const void *p, int n, sqlite3_int64 at) { return disk_write(0, f, p, n, at); }
static int write_log(sqlite3_file *f, const void *p, int n, sqlite3_int64 at) { return disk_write(1, f, p, n, at); }

static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
    (void)vfs;
    int rc = disk.below->xOpen(disk.below, name, f, flags, out), kind = flags & SQLITE_OPEN_WAL ? 1 : 0;
    if (rc != SQLITE_OK || !f->pMethods || !(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL))) return rc;
    if (!disk.real[kind]) {
        disk.methods[kind] = *f->pMethods;
        disk.methods[kind].xWrite = kind ? write_log : write_main;
        disk.real[kind] = f->pMethods;
    }
    if (f->pMethods == disk.real[kind]) f->pMethods = &disk.methods[kind];
    return rc;
}

static void put_disk_below(void)
{
    disk.below = sqlite3_vfs_find(NULL);
    disk.vfs = *disk.below;
    disk.vfs.zName = "test-disk";
    disk.vfs.pNext = NULL;
    disk.vfs.xOpen = disk_open;
    assert_int_equal(sqlite3_vfs_register(&disk.vfs, 1), SQLITE_OK);
}

static void change_some(void)
{
    for (int k = 0; k < 60; k++)
        if (rng() % 3 == 0) put_numbered(k, (int)(rng() % 1000));
}

/* A number for each text; of length 1. */
static enum status toy_embed(void *ctx, const struct index_text *texts, size_t n, float *out, struct error *err)
{
    (void)ctx;
    (void)err;
    memset(out, 0, n * 32 * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        uint32_t h = 2166136261u;
        for (size_t k = 0; k < texts[i].len; k++) h = (h ^ (unsigned char)texts[i].data[k]) * 16777619u;
        out[i * 32 + h % 32] = 1;
    }
    return OK;
}

static enum status update_and_embed(void)
{
    struct error err = {0};
    struct index_embedder e = {.model = "toy", .dim = 32, .batch = 16, .embed = toy_embed};
    enum status st = index_update(root, &opt, NULL, &err);
    return st ? st : index_embed(root, &opt, &e, NULL, &err);
}

/* Each chunk has its one vector, in both forms. */
static void assert_all_vectors(void)
{
    struct db db;
    struct error err = {0};
    int64_t n = -1;
    char *folder = index_folder(cache, root);
    assert_int_equal(db_open_reader(folder, &db, &err), OK);
    assert_int_equal(db_number(&db, "SELECT count(*) FROM (SELECT DISTINCT chunk FROM places) p LEFT JOIN vectors v"
                                    " ON v.chunk = p.chunk LEFT JOIN vectors_exact x ON x.chunk = p.chunk"
                                    " WHERE coalesce(length(v.q), 0) <> 36 OR coalesce(length(x.f), 0) <> 128", &n, &err), OK);
    assert_int_equal(n, 0);
    db_close(&db);
    free(folder);
}

/* How many writes it takes to bring up what changed. */
static long count_writes(void)
{
    long before = disk.writes;
    assert_int_equal(update_and_embed(), OK);
    return disk.writes - before;
}

static void test_kills_inside_writes(void **state)
{
    (void)state;
    for (int k = 0; k < 60; k++) put_numbered(k, 0);
    long most = count_writes();
    int landed = 0, kills = times(12);
    assert_true(most > 100);
    for (int i = 0; i < kills; i++) {
        if (i % 20 == 19) opt.rebuild = true; /* a new generation, too */
        change_some();
        pid_t child = fork();
        if (child == 0) {
            disk.kill_at = disk.writes + (long)(rng() % (uint32_t)(opt.rebuild ? most : most / 3));
            update_and_embed();
            _exit(0);
        }
        rng(); /* the child's copy went on alone */
        int status;
        waitpid(child, &status, 0);
        landed += WIFSIGNALED(status);
        opt.rebuild = false;
        struct index_counts c = update();
        assert_false(c.rebuilt && i % 20 != 19); /* a kill is no damage */
        assert_int_equal(update_and_embed(), OK);
        assert_all_vectors();
        if (i % 5 == 4 || i + 1 == kills) assert_as_new();
    }
    assert_true(landed >= kills / 2);
}

static void test_disk_full_at_any_write(void **state)
{
    (void)state;
    for (int k = 0; k < 60; k++) put_numbered(k, 0);
    long most = count_writes();
    int refused = 0, n = times(12);
    for (int i = 0; i < n; i++) {
        change_some();
        disk.full_at = disk.writes + (long)(rng() % (uint32_t)(most / 3));
        enum status st = update_and_embed();
        disk.full_at = -1;
        assert_true(st == OK || st == ERR_IO);
        refused += st == ERR_IO;
        /* What was committed before is still found. */
        assert_int_equal(update_and_embed(), OK);
        assert_all_vectors();
        if (i % 5 == 4 || i + 1 == n) assert_as_new();
    }
    assert_true(refused >= n / 2);
}

/* No save waits for a merge of everything, and the pieces of the full text stay few. */
static void test_many_saves(void **state)
{
    (void)state;
    enum { SAVES = 150 };
    struct error err = {0};
    const char *path = "d3/f3.py";
    bool done = false;
    int64_t most = 0, n = 0;
    char *folder = index_folder(cache, root);
    for (int k = 0; k < 400; k++) put_numbered(k, 0);
    update();
    for (int i = 1; i <= SAVES; i++) {
        put_numbered(3, i);
        struct db db;
        assert_int_equal(index_update_paths(root, &opt, &path, 1, NULL, &err), OK);
        if (i % 8 == 0) assert_int_equal(index_tidy(root, &opt, 0.02, &done, &err), OK);
        assert_int_equal(db_open_reader(folder, &db, &err), OK);
        assert_int_equal(db_number(&db, "SELECT count(DISTINCT segid) FROM fts_idx", &n, &err), OK);
        db_close(&db);
        if (n > most) most = n;
    }
    assert_true(most < 24);
    for (int i = 0; i < 100 && !done; i++) assert_int_equal(index_tidy(root, &opt, 0.02, &done, &err), OK);
    assert_true(done);
    update();
    assert_as_new();
    free(folder);
}

static void test_kills(void **state)
{
    (void)state;
    int kills = times(8);
    for (int i = 0; i < kills; i++) {
        for (int k = 0; k < 150; k++)
            if (i == 0 || rng() % 3 == 0) put_numbered(k, (int)(rng() % 4));
        pid_t child = fork();
        if (child == 0) {
            index_update(root, &opt, NULL, NULL);
            _exit(0);
        }
        usleep(rng() % 60000);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        if (i % 4 == 3 || i + 1 == kills) {
            struct index_counts c = update();
            assert_false(c.rebuilt); /* a kill is no damage */
            assert_as_new();
        }
    }
}

static char *generation(void)
{
    char *folder = index_folder(cache, root), path[512], *out = NULL;
    struct buf b;
    buf_init(&b, 64);
    snprintf(path, sizeof path, "%s/current", folder);
    assert_int_equal(file_read_all(path, &b, NULL), OK);
    assert_true(asprintf(&out, "%s/%s", folder, b.data) > 0);
    buf_fini(&b);
    free(folder);
    return out;
}

/* Whatever byte is wrong: the right answer or a plain error, and after the next update all is right. */
static void test_damage(void **state)
{
    (void)state;
    struct buf right, got;
    int refused = 0;
    buf_init(&right, 1 << 20);
    buf_init(&got, 1 << 20);
    for (int k = 0; k < 80; k++) put_numbered(k, 1);
    settle();
    update();
    struct index *ix = open_index();
    assert_int_equal(found(ix, "only_33x1v1", true, &right), OK);
    index_close(ix);
    int n = times(24);
    for (int i = 0; i < n; i++) {
        char *path = generation();
        int fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        off_t size = lseek(fd, 0, SEEK_END);
        if (i % 6 == 5) {
            assert_int_equal(ftruncate(fd, i % 12 == 5 ? size / 2 : 10), 0);
        } else {
            for (int k = 0; k < (i % 3 == 0 ? 1 : 40); k++) {
                char c;
                off_t at = i % 5 == 0 ? (off_t)(rng() % 100) : (off_t)(rng() % (uint32_t)size);
                assert_int_equal(pread(fd, &c, 1, at), 1);
                c ^= (char)(1 << rng() % 8);
                assert_int_equal(pwrite(fd, &c, 1, at), 1);
            }
        }
        close(fd);
        free(path);
        struct error err = {0};
        enum status st = index_open(root, cache, &ix, &err);
        if (st == OK) {
            buf_clear(&got);
            quiet = true;
            st = found(ix, "only_33x1v1", true, &got);
            quiet = false;
            if (st == OK) assert_string_equal(got.data, right.data);
            index_close(ix);
        }
        assert_true(st == OK || st == ERR_INTEGRITY || st == ERR_IO);
        refused += st == ERR_INTEGRITY;
        put_numbered(79, i);
        opt.rebuild = st == OK; /* what this reader did not touch may still be wrong */
        update();
        opt.rebuild = false;
        assert_as_new();
    }
    assert_true(refused > n / 3);
    buf_fini(&right);
    buf_fini(&got);
}

/* Only an update makes an index anew: others would leave an empty one behind. */
static void test_others_make_no_index(void **state)
{
    (void)state;
    struct error err = {0};
    bool done;
    struct index_embedder e = {.model = "toy", .dim = 32, .batch = 16, .embed = toy_embed};
    put_numbered(1, 1);
    assert_int_equal(index_tidy(root, &opt, 1, &done, &err), ERR_NOT_FOUND);
    assert_int_equal(index_embed(root, &opt, &e, NULL, &err), ERR_NOT_FOUND);
    update();
    assert_int_equal(update_and_embed(), OK);
    assert_int_equal(index_tidy(root, &opt, 1, &done, &err), OK);
    char *path = generation();
    assert_int_equal(truncate(path, 10), 0);
    free(path);
    assert_int_equal(index_tidy(root, &opt, 1, &done, &err), ERR_INTEGRITY);
    assert_int_equal(index_embed(root, &opt, &e, NULL, &err), ERR_INTEGRITY);
    assert_true(update().rebuilt);
    assert_as_new();
}

static void test_full_disk(void **state)
{
    (void)state;
    for (int k = 0; k < 200; k++) put_numbered(k, 1);
    settle();
    static const rlim_t sizes[] = {100000, 300000, 20000, 1000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        pid_t child = fork();
        if (child == 0) {
            struct error err = {0};
            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &(struct rlimit){sizes[i], sizes[i]});
            enum status st = index_update(root, &opt, NULL, &err);
            _exit(st == ERR_IO ? 0 : st == OK ? 1 : 2);
        }
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    update();
    assert_as_new();
}

/* ---- many at once ----------------------------------------------------------------------------- */

struct crowd {
    volatile bool end;
    int wrong, answers;
};

static void *reader(void *arg)
{
    struct crowd *c = arg;
    struct index *ix = NULL;
    struct error err = {0};
    uint32_t mine = (uint32_t)(uintptr_t)&ix;
    if (index_open(root, cache, &ix, &err) != OK) __atomic_add_fetch(&c->wrong, 1, __ATOMIC_RELAXED);
    while (ix && !c->end) {
        char query[64], name[64];
        mine = mine * 1664525u + 1013904223u;
        int k = (int)(mine >> 8) % 40;
        snprintf(name, sizeof name, "fun_%dx1", k);
        snprintf(query, sizeof query, "%s", name);
        struct buf b;
        buf_init(&b, 1 << 20);
        /* One state at a time: the function is there once, whatever version of its file. */
        bool ok = found(ix, query, false, &b) == OK && b.data && strstr(b.data, name);
        if (ok) {
            const char *first = strstr(b.data, name);
            ok = !strstr(first + 1, name);
        }
        __atomic_add_fetch(&c->answers, 1, __ATOMIC_RELAXED);
        if (!ok && __atomic_load_n(&c->wrong, __ATOMIC_RELAXED) < 3) fprintf(stderr, "wrong: %s in %s\n", query, b.data ? b.data : "nothing");
        if (!ok) __atomic_add_fetch(&c->wrong, 1, __ATOMIC_RELAXED);
        buf_fini(&b);
    }
    index_close(ix);
    return NULL;
}

static void test_fifty_readers_and_a_writer(void **state)
{
    (void)state;
    enum { READERS = 50 };
    struct crowd c = {0};
    pthread_t t[READERS];
    for (int k = 0; k < 40; k++) put_numbered(k, 0);
    update();
    for (int i = 0; i < READERS; i++) assert_int_equal(pthread_create(&t[i], NULL, reader, &c), 0);
    for (int round = 1; round < 12; round++) {
        for (int k = 0; k < 40; k++) put_numbered(k, round);
        opt.rebuild = round == 6; /* a new generation under their feet */
        update();
        opt.rebuild = false;
    }
    c.end = true;
    for (int i = 0; i < READERS; i++) pthread_join(t[i], NULL);
    assert_int_equal(c.wrong, 0);
    assert_true(c.answers >= READERS);
    assert_as_new();
}

static void test_one_writer(void **state)
{
    (void)state;
    struct error err = {0};
    bool rebuilt;
    struct db db;
    char *folder = index_folder(cache, root);
    put_numbered(1, 1);
    update();
    assert_int_equal(db_open_writer(folder, false, &db, &rebuilt, &err), OK);
    assert_int_equal(index_update(root, &opt, NULL, &err), ERR_BUSY);
    db_close(&db);
    free(folder);
    update();
}

/* ---- hostile trees ---------------------------------------------------------------------------- */

static void *scribble(void *arg)
{
    volatile bool *end = arg;
    for (int i = 0; !*end; i++) {
        char text[3000];
        memset(text, 'a' + i % 26, sizeof text);
        write_bytes("moving.py", text, 1 + (size_t)(i * 37 % 2999));
    }
    return NULL;
}

static void test_hostile_trees(void **state)
{
    (void)state;
    enum { BIG = 1000000 };
    char *big = malloc(BIG + 1), line[600];
    memset(big, 'x', BIG);
    for (int i = 0; i < BIG; i += 97) big[i] = ' ';
    write_bytes("one_line.py", big, BIG);
    memset(big, '\n', BIG);
    write_bytes("million_lines.c", big, BIG);
    for (int i = 0; i < 100000; i++) big[i] = "([{"[i % 3];
    write_bytes("brackets.js", big, 100000);
    write_bytes("brackets.json", big, 100000);
    put("new\nline \"and' \\ more.py", "def new_line_name():\n    pass\n");
    put("\xff\xfe\x80.py", "def bad_utf8_name():\n    pass\n");
    static const char bad[] = "def bad\xff\xc0_text():\n    return '\xed\xa0\x80'\n", binary[] = "def x():\0\1\2";
    write_bytes("bad.py", bad, sizeof bad - 1);
    write_bytes("binary.py", binary, sizeof binary - 1);
    write_bytes("nul.txt", "late", 4);
    memset(big, 'z', 9000);
    big[8999] = 0;
    write_bytes("late_nul.txt", big, 9000);
    put("empty.py", "");
    put("none\xc3", "x");
    snprintf(line, sizeof line, "cd '%s' && ln -s . loop && ln -s loop/loop deeper && mkfifo pipe.py", root);
    assert_int_equal(system(line), 0);
    volatile bool end = false;
    pthread_t t;
    write_bytes("moving.py", "a", 1);
    pthread_create(&t, NULL, scribble, (void *)&end);
    struct index_counts c = update();
    for (int i = 0; i < 20; i++) c = update();
    end = true;
    pthread_join(t, NULL);
    settle();
    c = update();
    assert_int_equal(c.unstable + c.failed, 0);
    assert_int_equal(count("new_line_name"), 1);
    assert_int_equal(count("bad_utf8_name"), 1);
    assert_as_new();
    free(big);
}

int main(int argc, char **argv)
{
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    put_disk_below();
#define TEST(t) cmocka_unit_test_setup_teardown(t, make, clean)
    const struct CMUnitTest tests[] = {
        TEST(test_reads_only_what_changed),
        TEST(test_update_of_paths),
        TEST(test_branches_reuse_chunks),
        TEST(test_symbols),
        TEST(test_kills),
        TEST(test_kills_inside_writes),
        TEST(test_disk_full_at_any_write),
        TEST(test_many_saves),
        TEST(test_damage),
        TEST(test_others_make_no_index),
        TEST(test_full_disk),
        TEST(test_fifty_readers_and_a_writer),
        TEST(test_one_writer),
        TEST(test_hostile_trees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
