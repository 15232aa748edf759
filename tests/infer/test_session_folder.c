/* Which kept sessions go when there are too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "infer/session_file.h"

static char dir[] = "/tmp/hearth-sessions-XXXXXX";

static void make(const char *name, size_t bytes, time_t age)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    struct timespec t[2] = {{.tv_sec = time(NULL) - age}, {.tv_sec = time(NULL) - age}};
    assert_int_equal(futimens(fd, t), 0);
    close(fd);
}

static int there(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

static void the_least_recently_used_go(void **state)
{
    (void)state;
    struct error err;
    make("a.session", 100, 50);
    make("b.session", 100, 40);
    make("c.session", 100, 30);
    make("d.session", 100, 20);
    make("old.session.tmpAbCdEf", 100, 7200); /* its writer is gone */
    make("new.session.tmpAbCdEf", 100, 10);
    make("notes.txt", 1000, 90);
    assert_int_equal(session_files_limit(dir, "a.session", 250, &err), OK);
    assert_true(there("a.session")); /* just written, whatever its age */
    assert_false(there("b.session"));
    assert_false(there("c.session"));
    assert_true(there("d.session"));
    assert_false(there("old.session.tmpAbCdEf"));
    assert_true(there("new.session.tmpAbCdEf"));
    assert_int_equal(session_files_limit(dir, NULL, 200, &err), OK);
    assert_true(there("a.session") && there("d.session"));

    size_t count;
    uint64_t bytes;
    assert_int_equal(session_files_remove(dir, &count, &bytes, &err), OK);
    assert_int_equal(count, 2);
    assert_int_equal(bytes, 200);
    assert_true(there("notes.txt"));
}

static void a_folder_that_is_not_there_is_empty(void **state)
{
    (void)state;
    struct error err;
    size_t count = 7;
    uint64_t bytes = 7;
    assert_int_equal(session_files_remove("/tmp/hearth-there-is-no-such", &count, &bytes, &err),
                     OK);
    assert_int_equal(count + bytes, 0);
    assert_int_equal(session_files_limit("/dev/null", NULL, 0, &err), ERR_IO);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command) ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_recently_used_go),
        cmocka_unit_test(a_folder_that_is_not_there_is_empty),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
