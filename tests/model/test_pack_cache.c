/* The packed weights' cache: made once, used again, never trusted, never needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/model_int.h"
#include "tiny_model.h"

struct fixture {
    char *dir, *cache;
    char model[512];
    char pack[1024]; /* where the cache belongs */
    uint8_t *want;   /* what is to be packed */
    size_t want_bytes;
};

static struct gguf *open_file(const struct fixture *f)
{
    struct gguf *g;
    struct error err;
    assert_int_equal(gguf_open(f->model, &g, &err), OK);
    return g;
}

/* Opens the model with this cache folder, compares all packed bytes; whether they are mapped. */
static bool open_with(const struct fixture *f, const char *cache, char note[768])
{
    struct gguf *g = open_file(f);
    struct model *m;
    struct error err = {0};
    struct model_options opt = {.n_threads = 2, .cache_dir = cache};
    if (model_open(g, &opt, &m, &err)) fail_msg("%s", err.msg);
    assert_int_equal(m->packed_bytes, f->want_bytes);
    assert_memory_equal(m->packed, f->want, f->want_bytes);
    bool mapped = m->packed_mapped;
    const char *why = model_cache_note(m);
    assert_true(mapped == (cache && !why));
    if (note) snprintf(note, 768, "%s", why ? why : "");
    model_close(m);
    gguf_close(g);
    return mapped;
}

static bool open_cached(const struct fixture *f)
{
    return open_with(f, f->cache, NULL);
}

static size_t files_in(const char *dir)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    struct dirent *e;
    assert_non_null(d);
    while ((e = readdir(d))) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static ino_t inode(const struct fixture *f)
{
    struct stat sb;
    assert_int_equal(stat(f->pack, &sb), 0);
    return sb.st_ino;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct tiny_model t;
    f->dir = tiny_make_dir();
    f->cache = tiny_make_dir();
    snprintf(f->model, sizeof f->model, "%s/model.gguf", f->dir);
    tiny_init(&t, "llama");
    tiny_write(&t, f->model);

    struct gguf *g = open_file(f);
    struct model *m;
    struct error err;
    assert_int_equal(model_open(g, NULL, &m, &err), OK);
    assert_false(m->packed_mapped);
    assert_null(model_cache_note(m));
    f->want_bytes = m->packed_bytes;
    f->want = malloc(f->want_bytes);
    assert_non_null(f->want);
    memcpy(f->want, m->packed, f->want_bytes);
    snprintf(f->pack, sizeof f->pack, "%s/%s-%d.pack", f->cache, gguf_identity(g),
             KERN_PACK_VERSION);
    model_close(m);
    gguf_close(g);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tiny_remove_dir(f->dir);
    tiny_remove_dir(f->cache);
    free(f->dir);
    free(f->cache);
    free(f->want);
    free(f);
    return 0;
}

/* ---- made and used --------------------------------------------------------------------------- */

static void test_made_and_reused(void **state)
{
    struct fixture *f = *state;
    struct stat sb;
    assert_true(open_cached(f));
    ino_t first = inode(f);
    assert_int_equal(files_in(f->cache), 1);
    assert_int_equal(stat(f->pack, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0600);
    assert_true(open_cached(f));
    assert_int_equal(inode(f), first);
}

static void test_folder_is_made(void **state)
{
    struct fixture *f = *state;
    char deep[600];
    assert_int_equal(rmdir(f->cache), 0);
    snprintf(deep, sizeof deep, "%s/a", f->cache);
    assert_true(open_with(f, deep, NULL));
    assert_int_equal(files_in(deep), 1);
    tiny_remove_dir(deep);
}

/* A file whose content differs is another model, even at the same place. */
static void test_other_model(void **state)
{
    struct fixture *f = *state;
    assert_true(open_cached(f));
    struct tiny_model t;
    tiny_init(&t, "llama");
    t.seed = 2;
    assert_int_equal(unlink(f->model), 0);
    tiny_write(&t, f->model);
    struct gguf *g = open_file(f);
    struct model *m;
    struct error err;
    assert_int_equal(model_open(g, NULL, &m, &err), OK);
    assert_memory_not_equal(m->packed, f->want, f->want_bytes);
    memcpy(f->want, m->packed, f->want_bytes);
    model_close(m);
    gguf_close(g);
    assert_true(open_cached(f));
    assert_int_equal(files_in(f->cache), 2);
}

/* ---- never trusted --------------------------------------------------------------------------- */

static void test_header_bytes_count(void **state)
{
    struct fixture *f = *state;
    assert_true(open_cached(f));
    for (off_t at = 0; at < 4096; at += at < 200 ? 7 : 97) {
        int fd = open(f->pack, O_RDWR);
        uint8_t byte;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x40;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
        ino_t bad = inode(f);
        fd = open(f->pack, O_RDONLY); /* keeps the inode's number from being used again */
        assert_true(open_cached(f));
        assert_int_not_equal(inode(f), bad);
        close(fd);
        assert_int_equal(files_in(f->cache), 1);
    }
}

static void test_wrong_size(void **state)
{
    struct fixture *f = *state;
    struct stat sb;
    assert_true(open_cached(f));
    assert_int_equal(stat(f->pack, &sb), 0);
    const off_t sizes[] = {0, 1, 100, 4096, sb.st_size - 1, sb.st_size + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(truncate(f->pack, sizes[i]), 0);
        assert_true(open_cached(f));
        struct stat now;
        assert_int_equal(stat(f->pack, &now), 0);
        assert_int_equal(now.st_size, sb.st_size);
    }
}

/* Something else where the cache belongs: replaced, or in memory where that cannot be. */
static void test_not_a_file(void **state)
{
    struct fixture *f = *state;
    char note[768];
    assert_int_equal(mkdir(f->pack, 0700), 0);
    assert_false(open_with(f, f->cache, note));
    assert_non_null(strstr(note, f->pack));
    assert_int_equal(files_in(f->cache), 1);
    assert_int_equal(rmdir(f->pack), 0);
    assert_int_equal(symlink("/dev/zero", f->pack), 0);
    assert_true(open_cached(f));
    assert_int_equal(unlink(f->pack), 0);
    assert_int_equal(mkfifo(f->pack, 0600), 0);
    assert_true(open_cached(f));
    struct stat sb;
    assert_int_equal(lstat(f->pack, &sb), 0);
    assert_true(S_ISREG(sb.st_mode));
}

static void test_stale_temporaries(void **state)
{
    struct fixture *f = *state;
    char dead[1100], alive[1100], other[1100];
    snprintf(dead, sizeof dead, "%s.tmpAAAAAA", f->pack);
    snprintf(alive, sizeof alive, "%s.tmpBBBBBB", f->pack);
    snprintf(other, sizeof other, "%s/unrelated.tmpCCCCCC", f->cache);
    close(open(dead, O_CREAT | O_RDWR, 0600));
    close(open(other, O_CREAT | O_RDWR, 0600));
    int fd = open(alive, O_CREAT | O_RDWR, 0600);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_true(open_cached(f));
    assert_int_equal(access(dead, F_OK), -1);
    assert_int_equal(access(alive, F_OK), 0);
    assert_int_equal(access(other, F_OK), 0);
    close(fd);
}

/* ---- never needed ---------------------------------------------------------------------------- */

static void test_folder_cannot_be_made(void **state)
{
    struct fixture *f = *state;
    char note[768], below[600];
    snprintf(below, sizeof below, "%s/cache", f->model); /* the model is a file */
    assert_false(open_with(f, below, note));
    assert_non_null(strstr(note, below));
}

static void test_read_only_folder(void **state)
{
    struct fixture *f = *state;
    char note[768];
    assert_int_equal(chmod(f->cache, 0500), 0);
    if (geteuid() == 0) {
        /* Permissions do not hold root back; a read-only mount does. */
        if (mount("tmpfs", f->cache, "tmpfs", MS_RDONLY, "size=1m")) skip();
    }
    bool mapped = open_with(f, f->cache, note);
    if (geteuid() == 0) umount(f->cache);
    assert_false(mapped);
    assert_non_null(strstr(note, f->cache));
    assert_int_equal(chmod(f->cache, 0700), 0);
    assert_int_equal(files_in(f->cache), 0);
}

static void test_file_size_limit(void **state)
{
    struct fixture *f = *state;
    char note[768];
    struct rlimit old, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = f->want_bytes / 2;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    bool mapped = open_with(f, f->cache, note);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_false(mapped);
    assert_non_null(strstr(note, "File too large"));
    assert_int_equal(files_in(f->cache), 0);
}

static void test_full_disk(void **state)
{
    struct fixture *f = *state;
    char note[768];
    if (mount("tmpfs", f->cache, "tmpfs", 0, "size=64k")) skip(); /* root only */
    bool mapped = open_with(f, f->cache, note);
    size_t left = files_in(f->cache);
    umount(f->cache);
    assert_false(mapped);
    assert_non_null(strstr(note, "No space left"));
    assert_int_equal(left, 0);
}

/* ---- at the same time ------------------------------------------------------------------------ */

static void *open_thread(void *arg)
{
    for (int i = 0; i < 20; i++) {
        open_cached(arg);
        unlink(((struct fixture *)arg)->pack);
    }
    return NULL;
}

/* Writers and readers of one cache that do not know of each other, as processes are. */
static void test_many_at_once(void **state)
{
    struct fixture *f = *state;
    pthread_t t[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&t[i], NULL, open_thread, f), 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    assert_true(open_cached(f));
    assert_int_equal(files_in(f->cache), 1);
}

struct seen {
    pthread_t thread;
    uint64_t last, total;
    int calls;
    bool wrong; /* order or thread: asserted where cmocka may */
};

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct seen *s = ctx;
    if (!pthread_equal(pthread_self(), s->thread) || done > total || done < s->last)
        s->wrong = true;
    s->last = done;
    s->total = total;
    s->calls++;
}

static void test_progress(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        struct seen s = {.thread = pthread_self()};
        struct model_options opt = {
            .n_threads = 8,
            .cache_dir =
                i < 19 ? NULL : f->cache, /* the last one after a run that made the cache */
            .progress = on_progress,
            .progress_ctx = &s,
        };
        if (i == 19) assert_true(open_cached(f));
        struct gguf *g = open_file(f);
        struct model *m;
        struct error err;
        assert_int_equal(model_open(g, &opt, &m, &err), OK);
        model_close(m);
        gguf_close(g);
        assert_false(s.wrong);
        assert_int_equal(s.calls > 0, i < 19);
        if (i < 19) assert_int_equal(s.last, f->want_bytes);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_made_and_reused),   CASE(test_folder_is_made),
        CASE(test_other_model),       CASE(test_header_bytes_count),
        CASE(test_wrong_size),        CASE(test_not_a_file),
        CASE(test_stale_temporaries), CASE(test_folder_cannot_be_made),
        CASE(test_read_only_folder),  CASE(test_file_size_limit),
        CASE(test_full_disk),         CASE(test_many_at_once),
        CASE(test_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
