/* Models in several files, and files that are no model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gguf/gguf_int.h"
#include "gguf_build.h"
#include "gguf_exercise.h"
#include "gguf_files.h"

static int new_folder(void **state)
{
    static struct files f;
    *state = &f;
    return files_init(&f) ? 0 : -1;
}

static int remove_folder(void **state)
{
    files_fini(*state);
    return 0;
}

static void expect_error(const struct files *f, const char *name, enum status want,
                         const char *part1, const char *part2)
{
    struct gguf *g;
    struct error err = {0};
    enum status st = gguf_open(files_path(f, name), &g, &err);
    assert_null(g);
    if (st != want || !strstr(err.msg, part1) || !strstr(err.msg, part2) ||
        !strstr(err.msg, f->dir))
        fail_msg("status %d (wanted %d), message: %s (wanted: %s ... %s)", st, want, err.msg, part1,
                 part2);
}

static void three_shards(void **state)
{
    const struct files *f = *state;
    assert_true(files_write_shards(f, "m", 3, 2));
    struct gguf *g;
    struct error err = {0};
    if (gguf_open(files_path(f, "m-00001-of-00003.gguf"), &g, &err)) fail_msg("%s", err.msg);
    assert_int_equal(gguf_n_tensors(g), 6);
    assert_int_equal(gguf_n_keys(g), 4);
    assert_null(gguf_exercise(g, NULL, 0));
    for (int i = 0; i < 6; i++) {
        char name[8];
        snprintf(name, sizeof name, "t%d", i);
        const struct gguf_tensor *t = gguf_tensor_find(g, name);
        assert_non_null(t);
        assert_ptr_equal(t, gguf_tensor_at(g, (size_t)i));
        assert_int_equal(t->ne[0], 8 + i / 2);
        assert_int_equal(t->data[3], i % 2 + 4);
    }
    assert_true(gguf_file_bytes(g) > 600);
    char first[65];
    strcpy(first, gguf_identity(g));
    gguf_close(g);

    /* A change in a later shard is a change of the model. */
    assert_true(files_write_shards(f, "n", 3, 2));
    assert_int_equal(
        rename(files_path(f, "n-00003-of-00003.gguf"), files_path(f, "m-00003-of-00003.gguf")), 0);
    assert_int_equal(gguf_open(files_path(f, "m-00001-of-00003.gguf"), &g, &err), OK);
    assert_string_not_equal(gguf_identity(g), first);
    gguf_close(g);
}

static void the_first_shard_is_asked_for(void **state)
{
    const struct files *f = *state;
    assert_true(files_write_shards(f, "m", 3, 1));
    expect_error(f, "m-00002-of-00003.gguf", ERR_INVALID, "part 2 of a model in 3 files",
                 "/m-00001-of-00003.gguf");
    expect_error(f, "m-00003-of-00003.gguf", ERR_INVALID, "part 3", "open the first");
    assert_int_equal(rename(files_path(f, "m-00002-of-00003.gguf"), files_path(f, "two.gguf")), 0);
    expect_error(f, "two.gguf", ERR_INVALID, "part 2", "open the first one");
}

static void a_missing_shard_is_named(void **state)
{
    const struct files *f = *state;
    assert_true(files_write_shards(f, "m", 3, 1));
    assert_int_equal(unlink(files_path(f, "m-00002-of-00003.gguf")), 0);
    expect_error(f, "m-00001-of-00003.gguf", ERR_NOT_FOUND, "m-00002-of-00003.gguf",
                 "part 2 of 3 of the model is missing");
}

static void a_renamed_first_shard(void **state)
{
    const struct files *f = *state;
    assert_true(files_write_shards(f, "m", 2, 1));
    assert_int_equal(rename(files_path(f, "m-00001-of-00002.gguf"), files_path(f, "one.gguf")), 0);
    expect_error(f, "one.gguf", ERR_INVALID, "-00001-of-00002.gguf", "rename it");
    assert_true(files_write_shards(f, "", 2, 1));
    assert_int_equal(unlink(files_path(f, "-00002-of-00002.gguf")), 0);
    expect_error(f, "-00001-of-00002.gguf", ERR_NOT_FOUND, "-00002-of-00002.gguf", "missing");
}

static void shards_that_do_not_belong_together(void **state)
{
    const struct files *f = *state;
    char text[64];
    assert_true(files_write_shards(f, "m", 2, 1));
    assert_true(files_write_shards(f, "n", 2, 2));
    snprintf(text, sizeof text, "%s", "m-00002-of-00002.gguf");
    assert_int_equal(rename(files_path(f, "n-00002-of-00002.gguf"), files_path(f, text)), 0);
    expect_error(f, "m-00001-of-00002.gguf", ERR_FORMAT, "2 tensors", "hold 3");

    assert_true(files_write_shards(f, "p", 2, 1));
    assert_int_equal(rename(files_path(f, "p-00001-of-00002.gguf"), files_path(f, text)), 0);
    expect_error(f, "m-00001-of-00002.gguf", ERR_FORMAT, "named part 2 of 2", "part 1 of 2");

    assert_true(files_write_shards(f, "q", 3, 1));
    assert_int_equal(rename(files_path(f, "q-00002-of-00003.gguf"), files_path(f, text)), 0);
    expect_error(f, "m-00001-of-00002.gguf", ERR_FORMAT, "named part 2 of 2", "part 2 of 3");

    /* The same tensor in both, and a second shard cut short: each is blamed on its own file. */
    struct gguf_build b;
    struct buf out;
    build_init(&b, 3);
    buf_init(&out, 1 << 20);
    build_number(&b, "split.no", GGUF_U16, 1);
    build_number(&b, "split.count", GGUF_U16, 2);
    build_tensor(&b, "t0", 0, (const uint64_t[]){8, 0}, 32);
    build_finish(&b, &out);
    assert_true(files_write(f, text, out.data, out.len));
    expect_error(f, "m-00001-of-00002.gguf", ERR_FORMAT, "m-00002-of-00002.gguf: tensor 't0'",
                 "occurs twice");
    assert_true(files_write(f, text, out.data, out.len - 1));
    expect_error(f, "m-00001-of-00002.gguf", ERR_FORMAT, "m-00002-of-00002.gguf: the file ends",
                 "'t0'");
    assert_true(files_write(f, text, "", 0));
    expect_error(f, "m-00001-of-00002.gguf", ERR_FORMAT, "m-00002-of-00002.gguf", "is empty");
    buf_fini(&out);
    build_fini(&b);
}

static void expect_split(const struct files *f, uint64_t no, uint64_t count, enum status want,
                         const char *part)
{
    struct gguf_build b;
    struct buf out;
    build_init(&b, 3);
    buf_init(&out, 1 << 20);
    build_number(&b, "split.no", GGUF_U64, no);
    build_number(&b, "split.count", GGUF_U64, count);
    build_finish(&b, &out);
    assert_true(files_write(f, "s-00001-of-00002.gguf", out.data, out.len));
    if (want) {
        expect_error(f, "s-00001-of-00002.gguf", want, part, "");
    } else {
        struct gguf *g;
        assert_int_equal(gguf_open(files_path(f, "s-00001-of-00002.gguf"), &g, NULL), OK);
        gguf_close(g);
    }
    buf_fini(&out);
    build_fini(&b);
}

static void odd_split_keys(void **state)
{
    const struct files *f = *state;
    expect_split(f, 0, 0, OK, "");
    expect_split(f, 0, 1, OK, "");
    expect_split(f, 2, 2, ERR_FORMAT, "'split.no' is 2");
    expect_split(f, UINT64_MAX, 2, ERR_FORMAT, "'split.no'");
    expect_split(f, 0, UINT64_MAX, ERR_FORMAT, "'split.count'");
    expect_split(f, 0, 4097, ERR_FORMAT, "'split.count'");
    expect_split(f, 0, 3, ERR_INVALID, "-00001-of-00003.gguf");
}

static void files_that_are_no_model(void **state)
{
    const struct files *f = *state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *hint;
    } cases[] = {
#define CASE(bytes, hint) {bytes, sizeof bytes - 1, hint}
        CASE("", "is empty"),
        CASE("G", "is a text file"),
        CASE("GGU", "is a text file"),
        CASE("GGUF", "inside its header"),
        CASE("GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "inside its header"),
        CASE("hello\n", "is a text file"),
        CASE("int main(void)\n{\n}\n", "is text"),
        CASE("<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        CASE("\n\n <!-- x --><HTML lang=en>", "web page"),
        CASE("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "git lfs pull"),
        CASE("\x09\0\0\0\0\0\0\0{\"a\": {}}tensor", "safetensors"),
        CASE("PK\3\4 archive", "zip archive"),
        CASE("\x80\2}q", "pickle"),
        CASE("tjgg\3\0\0\0", "older than GGUF"),
        CASE("\x1f\x8b\x08\0", "gzip"),
        CASE("\x28\xb5\x2f\xfd....", "zstd"),
        CASE("\x7f"
             "ELF\2\1\1",
             "is a program"),
        CASE("\0\0\0\0\0\0\0\0\0\0", "begins with zeros"),
        CASE("\1\2\3\4\5", "lacks the format's signature"),
        CASE("\x09\0\0\0\0\0\0\1{\"a\": {}}", "lacks the format's signature"),
        CASE("\0\0\0\0\0\0\0\0{", "lacks the format's signature"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(files_write(f, "x.gguf", cases[i].bytes, cases[i].len));
        expect_error(f, "x.gguf", ERR_FORMAT, cases[i].hint, "x.gguf");
    }
    expect_error(f, "", ERR_INVALID, "is a folder", ".gguf");
    expect_error(f, "absent.gguf", ERR_NOT_FOUND, "absent.gguf", "No such file");
    expect_error(f, "x.gguf/y", ERR_NOT_FOUND, "x.gguf/y", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(three_shards, new_folder, remove_folder),
        cmocka_unit_test_setup_teardown(the_first_shard_is_asked_for, new_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_missing_shard_is_named, new_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_renamed_first_shard, new_folder, remove_folder),
        cmocka_unit_test_setup_teardown(shards_that_do_not_belong_together, new_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(odd_split_keys, new_folder, remove_folder),
        cmocka_unit_test_setup_teardown(files_that_are_no_model, new_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
