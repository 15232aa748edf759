/* API keys: made, kept as hashes, found again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "net/keys.h"

static char path[] = "/tmp/hearth-keys-XXXXXX";

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    if (fd >= 0) close(fd);
    return fd < 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void put(const char *text)
{
    assert_int_equal(file_replace(path, text, strlen(text), NULL), OK);
}

static void finds_a_made_key(void **state)
{
    (void)state;
    char key[KEYS_TEXT_SIZE], other[KEYS_TEXT_SIZE], line[192], text[400];
    struct keys k = {0};
    assert_int_equal(keys_make("laptop", key, line, NULL), OK);
    assert_int_equal(keys_make("laptop", other, text, NULL), OK);
    assert_string_not_equal(key, other);
    assert_null(strstr(line, key + 7)); /* the hash, not the key */
    snprintf(text, sizeof text, "# keys\n\n%s", line);
    put(text);
    assert_int_equal(keys_load(&k, path, NULL), OK);
    assert_int_equal(k.n, 1);
    const struct key_entry *e = keys_find(&k, key, strlen(key));
    assert_non_null(e);
    assert_string_equal(e->name, "laptop");
    assert_null(keys_find(&k, key, strlen(key) - 1));
    assert_null(keys_find(&k, other, strlen(other)));
    assert_null(keys_find(&k, "", 0));
    keys_fini(&k);
}

static void refuses_bad_files(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "name\n", "name abc\n", "name zz\n",
        "n 0123456789012345678901234567890123456789012345678901234567890123x\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct keys k = {0};
        struct error err;
        put(bad[i]);
        assert_int_equal(keys_load(&k, path, &err), ERR_FORMAT);
        assert_non_null(strstr(err.msg, "line 1"));
        keys_fini(&k);
    }
    struct keys k = {0};
    put("");
    chmod(path, 0666);
    assert_int_equal(keys_load(&k, path, NULL), ERR_INVALID);
    chmod(path, 0600);
    assert_int_equal(keys_load(&k, path, NULL), OK);
    keys_fini(&k);
}

static void refuses_weak_keys_and_names(void **state)
{
    (void)state;
    struct keys k = {0};
    char key[KEYS_TEXT_SIZE], line[192];
    assert_int_equal(keys_add(&k, "a", "short", NULL), ERR_INVALID);
    assert_int_equal(keys_add(&k, "a", "long enough to be a key", NULL), OK);
    assert_non_null(keys_find(&k, "long enough to be a key", 23));
    assert_int_equal(keys_make("", key, line, NULL), ERR_INVALID);
    assert_int_equal(keys_make("two words", key, line, NULL), ERR_INVALID);
    keys_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_made_key),
        cmocka_unit_test(refuses_bad_files),
        cmocka_unit_test(refuses_weak_keys_and_names),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
