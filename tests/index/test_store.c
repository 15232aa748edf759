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

static void test_kills(void **state)
{
    (void)state;
    const char *more = getenv("HEARTH_TEST_KILLS");
    int kills = more ? atoi(more) : 8;
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
    for (int i = 0; i < 24; i++) {
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
    assert_true(refused > 10);
    buf_fini(&right);
    buf_fini(&got);
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
#define TEST(t) cmocka_unit_test_setup_teardown(t, make, clean)
    const struct CMUnitTest tests[] = {
        TEST(test_reads_only_what_changed),
        TEST(test_update_of_paths),
        TEST(test_branches_reuse_chunks),
        TEST(test_symbols),
        TEST(test_kills),
        TEST(test_damage),
        TEST(test_full_disk),
        TEST(test_fifty_readers_and_a_writer),
        TEST(test_one_writer),
        TEST(test_hostile_trees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
