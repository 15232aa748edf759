/* Reading a model: which files count, in which order, and what is refused. */
#include "trust_kit.h"

#include <sys/stat.h>
#include <unistd.h>

static struct filetree read_ok(const char *path, const struct filetree_options *opt)
{
    struct filetree t;
    struct error err = {0};
    if (filetree_read(path, opt, &t, &err) != OK) fail_msg("%s", err.msg);
    return t;
}

static void order_is_by_parts(void **state)
{
    (void)state;
    /* As sorted(map(pathlib.PurePosixPath, ...)) has them. */
    static const char *const due[] = {"a/b/c", "a/bc", "a b", "a.txt", "ab", "\xC3\xA9"};
    char *dir = kit_folder();
    kit_make_folder(dir, "a/b");
    kit_make_folder(dir, "empty");
    for (int i = 5; i >= 0; i--) kit_write(dir, due[i], due[i], strlen(due[i]));
    struct filetree t = read_ok(dir, NULL);
    assert_int_equal(t.n, 6);
    for (int i = 0; i < 6; i++) assert_string_equal(t.files[i].name, due[i]);
    filetree_fini(&t);
    kit_remove(dir);
}

static void one_file_is_a_dot(void **state)
{
    (void)state;
    char *dir = kit_folder(), path[512], hex[SHA256_HEX_SIZE];
    kit_write(dir, "f", "abc", 3);
    snprintf(path, sizeof path, "%s/f", dir);
    struct filetree t = read_ok(path, NULL);
    assert_int_equal(t.n, 1);
    assert_string_equal(t.files[0].name, ".");
    sha256_hex(t.files[0].digest, hex);
    assert_string_equal(
        hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); /* FIPS 180-4 */
    filetree_fini(&t);
    kit_remove(dir);
}

static void ignored_paths(void **state)
{
    (void)state;
    static const char *const ignore[] = {".git", "a/b"};
    const struct filetree_options opt = {.ignore = ignore, .n_ignore = 2};
    char *dir = kit_folder();
    kit_make_folder(dir, ".git/objects");
    kit_make_folder(dir, "a/b");
    kit_make_folder(dir, "c/.git");
    kit_write(dir, ".git/objects/x", "1", 1);
    kit_write(dir, ".gitx", "1", 1);
    kit_write(dir, "a/b/y", "1", 1);
    kit_write(dir, "a/bb", "1", 1);
    kit_write(dir, "c/.git/z", "1", 1);
    struct filetree t = read_ok(dir, &opt);
    assert_int_equal(t.n, 3);
    assert_string_equal(t.files[0].name, ".gitx");
    assert_string_equal(t.files[1].name, "a/bb");
    assert_string_equal(t.files[2].name, "c/.git/z");
    filetree_fini(&t);
    kit_remove(dir);
}

static void links_and_devices(void **state)
{
    (void)state;
    struct filetree t;
    const struct filetree_options follow = {.follow_links = true};
    char *dir = kit_folder(), path[512];
    kit_write(dir, "f", "abc", 3);
    snprintf(path, sizeof path, "%s/link", dir);
    assert_int_equal(symlink("f", path), 0);
    assert_int_equal(filetree_read(dir, NULL, &t, NULL), ERR_UNSUPPORTED);
    t = read_ok(dir, &follow);
    assert_int_equal(t.n, 2);
    assert_memory_equal(t.files[0].digest, t.files[1].digest, SHA256_BYTES);
    filetree_fini(&t);
    assert_int_equal(filetree_read(path, NULL, &t, NULL), ERR_UNSUPPORTED); /* the model itself */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/usr", path), 0); /* a folder elsewhere would not be signed */
    assert_int_equal(filetree_read(dir, &follow, &t, NULL), ERR_UNSUPPORTED);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("nowhere", path), 0);
    assert_int_equal(filetree_read(dir, &follow, &t, NULL), ERR_IO);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* no hang */
    assert_int_equal(filetree_read(dir, &follow, &t, NULL), ERR_UNSUPPORTED);
    assert_int_equal(unlink(path), 0);
    kit_write(dir, "\xFF", "", 0);
    assert_int_equal(filetree_read(dir, NULL, &t, NULL), ERR_UNSUPPORTED);
    kit_remove(dir);
    assert_int_equal(filetree_read("/nonexistent/x", NULL, &t, NULL), ERR_NOT_FOUND);
}

static void deep_folders(void **state)
{
    (void)state;
    struct filetree t;
    char *dir = kit_folder(), rel[3 * FILETREE_MAX_DEPTH + 8] = "";
    for (int i = 0; i <= FILETREE_MAX_DEPTH; i++) strcat(rel, "d/");
    kit_make_folder(dir, rel);
    assert_int_equal(filetree_read(dir, NULL, &t, NULL), ERR_LIMIT);
    kit_remove(dir);
}

static void names(void **state)
{
    (void)state;
    static const char *const good[] = {".", "a", "a/b", "..a", "a..", ".git", "a/.b"};
    static const char *const bad[] = {"",     "/",    "/a",  "a/",    "a//b",   "..",
                                      "../a", "a/..", "./a", "a/./b", "a/../b", "./"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!filetree_name_valid(good[i])) fail_msg("'%s' is a path", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (filetree_name_valid(bad[i])) fail_msg("'%s' is none", bad[i]);
}

static bool stop(void *ctx, uint64_t done)
{
    *(uint64_t *)ctx = done;
    return false;
}

static void interrupted(void **state)
{
    (void)state;
    uint64_t done = 0;
    struct filetree t;
    char *dir = kit_folder();
    kit_write(dir, "f", "abc", 3);
    const struct filetree_options opt = {.progress = stop, .ctx = &done};
    assert_int_equal(filetree_read(dir, &opt, &t, NULL), ERR_CANCELLED);
    assert_int_equal(done, 3);
    kit_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_by_parts), cmocka_unit_test(one_file_is_a_dot),
        cmocka_unit_test(ignored_paths),     cmocka_unit_test(links_and_devices),
        cmocka_unit_test(deep_folders),      cmocka_unit_test(names),
        cmocka_unit_test(interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
