/* Headers that lie, and folders. The reader's sound cases are in tests/convert as well. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "gguf/safetensors_int.h"
#include "gguf_files.h"

static void make(struct buf *out, const char *header, uint64_t claimed, size_t data)
{
    uint8_t head[8];
    buf_init(out, 1 << 20);
    for (int i = 0; i < 8; i++) head[i] = (uint8_t)(claimed >> 8 * i);
    assert_int_equal(buf_append(out, head, 8), OK);
    assert_int_equal(buf_append(out, header, strlen(header)), OK);
    for (size_t i = 0; i < data; i++) buf_append(out, &(char){(char)i}, 1);
}

static enum status open_text(const char *header, uint64_t claimed, size_t data,
                             struct safetensors **s, struct buf *file, struct error *err)
{
    memset(err, 0, sizeof *err);
    make(file, header, claimed, data);
    return safetensors_open_memory(file->data, file->len, "x.safetensors", s, err);
}

static void test_reads_what_is_there(void **state)
{
    (void)state;
    static const char header[] =
        "{\"__metadata__\": {\"format\": \"pt\", \"deep\": [[1, -2.5e3], {\"a\": null}]},\n"
        " \"b\\u00e9\\ud83d\\ude00\": {\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
        "\"a\":{\"data_offsets\":[0,4],\"shape\":[],\"dtype\":\"F32\"},"
        "\"none\":{\"dtype\":\"I64\",\"shape\":[0,7],\"data_offsets\":[4,4]}}    ";
    struct safetensors *s;
    struct buf file;
    struct error err;
    if (open_text(header, sizeof header - 1, 16, &s, &file, &err)) fail_msg("%s", err.msg);
    assert_int_equal(safetensors_count(s), 3);
    const struct safetensor *t = safetensors_find(s, "b\xc3\xa9\xf0\x9f\x98\x80");
    assert_non_null(t);
    assert_int_equal(t->type, ST_BF16);
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->shape[1], 3);
    assert_int_equal(t->count, 6);
    assert_int_equal(t->data[0], 4);
    assert_int_equal(safetensors_find(s, "a")->count, 1);
    assert_int_equal(safetensors_find(s, "none")->size, 0);
    assert_null(safetensors_find(s, "c"));
    safetensors_close(s);
    buf_fini(&file);
}

#define F32(name, shape, from, to)                                                                 \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" #from "," #to "]}"

static void test_refuses_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *why;
        enum status st;
    } bad[] = {
        {"{" F32("a", "1", 0, 4) "," F32("a", "1", 4, 8) "}", 8, "occurs twice", ERR_FORMAT},
        {"{" F32("a", "2", 0, 8) "," F32("b", "2", 4, 12) "}", 12, "overlap", ERR_FORMAT},
        {"{" F32("a", "1", 0, 4) "," F32("b", "1", 0, 4) "}", 4, "overlap", ERR_FORMAT},
        {"{" F32("a", "1", 4, 8) "}", 8, "belong to none", ERR_FORMAT},
        {"{" F32("a", "1", 0, 4) "}", 8, "goes on behind", ERR_FORMAT},
        {"{" F32("a", "2", 0, 8) "}", 4, "cut off", ERR_FORMAT},
        {"{" F32("a", "2", 8, 0) "}", 8, "claims bytes", ERR_FORMAT},
        {"{" F32("a", "2", 0, 18446744073709551615) "}", 8, "claims bytes", ERR_FORMAT},
        {"{" F32("a", "2", 0, 18446744073709551616) "}", 8, "too large", ERR_FORMAT},
        {"{" F32("a", "4294967296,4294967296", 0, 0) "}", 0, "cannot be counted", ERR_FORMAT},
        {"{" F32("a", "4611686018427387905", 0, 4) "}", 4, "do not give", ERR_FORMAT},
        {"{" F32("a", "3", 0, 8) "}", 8, "do not give", ERR_FORMAT},
        {"{" F32("a", "-1", 0, 4) "}", 4, "no whole number", ERR_FORMAT},
        {"{" F32("a", "1.0", 0, 4) "}", 4, "no whole number", ERR_FORMAT},
        {"{" F32("a", "01", 0, 4) "}", 4, "no whole number", ERR_FORMAT},
        {"{" F32("a", "1,1,1,1,1,1,1,1,1", 0, 4) "}", 4, "dimensions", ERR_LIMIT},
        {"{\"a\":{\"dtype\":\"Q4\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "does not know",
         ERR_UNSUPPORTED},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "lacks", ERR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1]}}", 4, "twice", ERR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"more\":1}}", 4, "unknown field", ERR_FORMAT},
        {"{\"a\":1}", 0, "no '{'", ERR_FORMAT},
        {"[]", 0, "no '{'", ERR_FORMAT},
        {"", 0, "no '{'", ERR_FORMAT},
        {"{\"a", 0, "without an end", ERR_FORMAT},
        {"{\"\\u0000\":1}", 0, "escape", ERR_FORMAT},
        {"{\"\\ud800x\":1}", 0, "escape", ERR_FORMAT},
        {"{} x", 0, "behind its end", ERR_FORMAT},
        {"{\"__metadata__\":[1 2]}", 0, "no ','", ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct safetensors *s;
        struct buf file;
        struct error err;
        enum status st =
            open_text(bad[i].header, strlen(bad[i].header), bad[i].data, &s, &file, &err);
        if (st != bad[i].st || s || !strstr(err.msg, bad[i].why))
            fail_msg("case %zu: %d, %s", i, st, err.msg);
        assert_non_null(strstr(err.msg, "x.safetensors"));
        buf_fini(&file);
    }
}

static void test_lengths_of_headers(void **state)
{
    (void)state;
    struct safetensors *s;
    struct buf file;
    struct error err;
    assert_int_equal(open_text("{}", 100000001, 0, &s, &file, &err), ERR_LIMIT);
    assert_non_null(strstr(err.msg, "100 MB"));
    buf_fini(&file);
    assert_int_equal(open_text("{}", UINT64_MAX, 0, &s, &file, &err), ERR_LIMIT);
    buf_fini(&file);
    assert_int_equal(open_text("{}", 3, 0, &s, &file, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "longer than the file"));
    buf_fini(&file);
    assert_int_equal(open_text("{}", 100000000, 0, &s, &file, &err), ERR_FORMAT);
    buf_fini(&file);
    assert_int_equal(safetensors_open_memory("1234567", 7, "x.safetensors", &s, &err), ERR_FORMAT);
}

static void test_deep_metadata(void **state)
{
    (void)state;
    struct safetensors *s;
    struct buf text, file;
    struct error err;
    buf_init(&text, 1 << 20);
    buf_printf(&text, "{\"__metadata__\":");
    for (int i = 0; i < 100000; i++) buf_append(&text, "[", 1);
    assert_int_equal(open_text(text.data, text.len, 0, &s, &file, &err), ERR_LIMIT);
    assert_non_null(strstr(err.msg, "too deep"));
    buf_fini(&file);
    buf_fini(&text);
}

static void write_one(const struct files *f, const char *name, const char *tensor)
{
    struct buf file;
    char header[200];
    snprintf(header, sizeof header,
             "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", tensor);
    make(&file, header, strlen(header), 4);
    assert_true(files_write(f, name, file.data, file.len));
    buf_fini(&file);
}

static enum status open_folder(const struct files *f, struct safetensors **s, struct error *err)
{
    memset(err, 0, sizeof *err);
    return safetensors_open(f->dir, s, err);
}

static void test_folders_without_an_index(void **state)
{
    (void)state;
    struct files f;
    struct safetensors *s;
    struct error err;
    assert_true(files_init(&f));
    assert_int_equal(open_folder(&f, &s, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "no *.safetensors file"));
    write_one(&f, "m-00001-of-00002.safetensors", "a");
    assert_int_equal(open_folder(&f, &s, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "whole model"));
    write_one(&f, "m-00002-of-00002.safetensors", "b");
    if (open_folder(&f, &s, &err)) fail_msg("%s", err.msg);
    assert_int_equal(safetensors_n_shards(s), 2);
    assert_int_equal(safetensors_find(s, "b")->shard, 1);
    safetensors_close(s);
    write_one(&f, "other.safetensors", "c");
    assert_int_equal(open_folder(&f, &s, &err), ERR_NOT_FOUND);
    write_one(&f, "model.safetensors", "d"); /* the usual name wins */
    assert_int_equal(open_folder(&f, &s, &err), OK);
    assert_int_equal(safetensors_count(s), 1);
    safetensors_close(s);
    files_fini(&f);
}

/* A tensor in two shards would be read from whichever came first. */
static void test_a_tensor_in_two_shards(void **state)
{
    (void)state;
    struct files f;
    struct safetensors *s;
    struct error err;
    assert_true(files_init(&f));
    write_one(&f, "m-00001-of-00002.safetensors", "a");
    write_one(&f, "m-00002-of-00002.safetensors", "a");
    assert_int_equal(open_folder(&f, &s, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "occurs twice"));
    files_fini(&f);
}

static void test_identity_follows_the_bytes(void **state)
{
    (void)state;
    struct files f;
    struct safetensors *s;
    struct error err = {0};
    char one[SHA256_HEX_SIZE], two[SHA256_HEX_SIZE], three[SHA256_HEX_SIZE];
    assert_true(files_init(&f));
    write_one(&f, "model.safetensors", "a");
    assert_int_equal(open_folder(&f, &s, &err), OK);
    assert_int_equal(safetensors_identity(s, one, &err), OK);
    assert_int_equal(safetensors_identity(s, two, &err), OK);
    safetensors_close(s);
    write_one(&f, "model.safetensors", "b");
    assert_int_equal(open_folder(&f, &s, &err), OK);
    assert_int_equal(safetensors_identity(s, three, &err), OK);
    safetensors_close(s);
    assert_string_equal(one, two);
    assert_string_not_equal(one, three);
    files_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_is_there),
        cmocka_unit_test(test_refuses_with_the_reason),
        cmocka_unit_test(test_lengths_of_headers),
        cmocka_unit_test(test_deep_metadata),
        cmocka_unit_test(test_folders_without_an_index),
        cmocka_unit_test(test_a_tensor_in_two_shards),
        cmocka_unit_test(test_identity_follows_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
