/* Mapping, bounded reads and durable replacement, with the failures that people meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <dirent.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

static char folder[64];

static const char *path_of(const char *name)
{
    static char path[4][256];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static void write_file(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static int count_files(const char *path)
{
    DIR *d = opendir(path);
    assert_non_null(d);
    int n = 0;
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/hearth-file-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void maps_what_is_there(void **state)
{
    (void)state;
    write_file(path_of("a"), "hello", 5);
    struct file_map m;
    assert_int_equal(file_map_open(path_of("a"), &m, NULL), OK);
    assert_int_equal(m.size, 5);
    assert_memory_equal(m.data, "hello", 5);
    assert_true(m.ino != 0 && m.mtime_ns != 0);
    file_map_close(&m);
    assert_null(m.data);
    write_file(path_of("empty"), "", 0);
    assert_int_equal(file_map_open(path_of("empty"), &m, NULL), OK);
    assert_int_equal(m.size, 0);
    file_map_close(&m);
}

static void mapping_refuses_what_is_no_file(void **state)
{
    (void)state;
    struct file_map m;
    struct error err;
    assert_int_equal(file_map_open(path_of("none"), &m, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "none"));
    assert_int_equal(file_map_open(folder, &m, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, folder));
    /* A pipe without a writer must not hang the open. */
    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    assert_int_equal(file_map_open(path_of("fifo"), &m, &err), ERR_INVALID);
    assert_null(m.data);
}

static void reads_all_up_to_the_cap(void **state)
{
    (void)state;
    size_t size = 300001;
    char *data = malloc(size);
    assert_non_null(data);
    for (size_t i = 0; i < size; i++) data[i] = (char)(i * 7 + i / 251);
    write_file(path_of("big"), data, size);
    struct buf b;
    struct error err;
    buf_init(&b, size);
    assert_int_equal(file_read_all(path_of("big"), &b, &err), OK);
    assert_int_equal(b.len, size);
    assert_memory_equal(b.data, data, size);
    buf_fini(&b);
    buf_init(&b, size - 1);
    assert_int_equal(file_read_all(path_of("big"), &b, &err), ERR_LIMIT);
    assert_non_null(strstr(err.msg, "300000"));
    buf_fini(&b);
    buf_init(&b, 10);
    write_file(path_of("small"), data, 11);
    assert_int_equal(file_read_all(path_of("small"), &b, &err), ERR_LIMIT);
    assert_true(b.len <= 10);
    buf_fini(&b);
    free(data);
}

/* Whether there is more than the cap is asked with a read, which can fail as any other. */
static void a_failed_read_at_the_cap_is_no_large_file(void **state)
{
    (void)state;
    struct buf b;
    struct error err;
    buf_init(&b, 0);
    assert_int_equal(file_read_all(folder, &b, &err), ERR_IO);
    buf_fini(&b);
}

static void reading_appends_and_reports(void **state)
{
    (void)state;
    write_file(path_of("t"), "tail", 4);
    struct buf b;
    struct error err;
    buf_init(&b, 100);
    assert_int_equal(buf_append_str(&b, "head "), OK);
    assert_int_equal(file_read_all(path_of("t"), &b, &err), OK);
    assert_string_equal(b.data, "head tail");
    assert_int_equal(file_read_all(path_of("none"), &b, &err), ERR_NOT_FOUND);
    assert_int_equal(file_read_all(folder, &b, &err), ERR_IO);
    assert_string_equal(b.data, "head tail");
    buf_fini(&b);
}

static void replace_swaps_the_whole_contents(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(file_replace(path_of("r"), "one", 3, NULL), OK);
    assert_int_equal(file_replace(path_of("r"), "second", 6, NULL), OK);
    assert_int_equal(file_read_all(path_of("r"), &b, NULL), OK);
    assert_string_equal(b.data, "second");
    buf_fini(&b);
    struct error err;
    assert_int_equal(file_replace(path_of("no/such/r"), "x", 1, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "no/such/r"));
}

static void a_failed_replace_keeps_the_old_and_leaves_nothing(void **state)
{
    (void)state;
    char *data = calloc(1, 1 << 20);
    assert_non_null(data);
    assert_int_equal(file_replace(path_of("keep"), "old", 3, NULL), OK);
    int before = count_files(folder);
    /* A file size limit stands for a full disk: the write fails part of the way. */
    struct rlimit old, small = {.rlim_cur = 65536};
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    struct error err;
    enum status st = file_replace(path_of("keep"), data, 1 << 20, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
    free(data);
    assert_int_equal(st, ERR_IO);
    assert_non_null(strstr(err.msg, "keep"));
    assert_int_equal(count_files(folder), before);
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(file_read_all(path_of("keep"), &b, NULL), OK);
    assert_string_equal(b.data, "old");
    buf_fini(&b);
}

static void folders_are_made_private_and_once(void **state)
{
    (void)state;
    struct stat sb;
    struct error err;
    assert_int_equal(file_make_dirs(path_of("d/e/f"), NULL), OK);
    assert_int_equal(stat(path_of("d/e/f"), &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0700);
    assert_int_equal(file_make_dirs(path_of("d/e/f/"), NULL), OK);
    write_file(path_of("plain"), "x", 1);
    assert_int_not_equal(file_make_dirs(path_of("plain"), &err), OK);
    assert_int_not_equal(file_make_dirs(path_of("plain/sub"), &err), OK);
    assert_non_null(strstr(err.msg, "plain"));
    assert_true(file_exists(path_of("d/e")));
    assert_false(file_exists(path_of("d/x")));
}

static void the_parent_is_synced_or_named(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(file_sync_parent(path_of("any"), &err), OK);
    assert_int_equal(file_sync_parent("relative-name", &err), OK);
    assert_int_equal(file_sync_parent(path_of("gone/any"), &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "gone"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_what_is_there),
        cmocka_unit_test(mapping_refuses_what_is_no_file),
        cmocka_unit_test(reads_all_up_to_the_cap),
        cmocka_unit_test(a_failed_read_at_the_cap_is_no_large_file),
        cmocka_unit_test(reading_appends_and_reports),
        cmocka_unit_test(replace_swaps_the_whole_contents),
        cmocka_unit_test(a_failed_replace_keeps_the_old_and_leaves_nothing),
        cmocka_unit_test(folders_are_made_private_and_once),
        cmocka_unit_test(the_parent_is_synced_or_named),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
