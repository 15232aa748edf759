/* What the writer writes, the reader reads; what the format forbids is refused; and a file is there
 * whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "gguf/gguf.h"
#include "gguf/gguf_write.h"
#include "gguf_files.h"
#include "quant/quant.h"

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

static struct gguf_writer *begin(const char *path, uint32_t alignment)
{
    struct gguf_writer *w;
    struct error err = {0};
    if (gguf_writer_begin(path, alignment, &w, &err)) fail_msg("%s", err.msg);
    return w;
}

static void put_keys(struct gguf_writer *w)
{
    static const int16_t words[3] = {-1, 2, -3};
    static const uint8_t flags[2] = {1, 0};
    static const struct gguf_str names[3] = {{"a", 1}, {"", 0}, {"x\0y", 3}};
    gguf_writer_str(w, "general.architecture", "none");
    gguf_writer_u64(w, "u8", GGUF_U8, 255);
    gguf_writer_i64(w, "i8", GGUF_I8, -128);
    gguf_writer_u64(w, "u16", GGUF_U16, 65535);
    gguf_writer_i64(w, "i16", GGUF_I16, -32768);
    gguf_writer_u64(w, "u32", GGUF_U32, UINT32_MAX);
    gguf_writer_i64(w, "i32", GGUF_I32, INT32_MIN);
    gguf_writer_u64(w, "u64", GGUF_U64, UINT64_MAX);
    gguf_writer_i64(w, "i64", GGUF_I64, INT64_MIN);
    gguf_writer_f64(w, "f32", GGUF_F32, 0.1);
    gguf_writer_f64(w, "f64", GGUF_F64, 0.1);
    gguf_writer_bool(w, "yes", true);
    gguf_writer_bytes(w, "text", (struct gguf_str){"h\xc3\xa9\n", 4});
    gguf_writer_array(w, "words", GGUF_I16, 3, words);
    gguf_writer_array(w, "flags", GGUF_BOOL, 2, flags);
    gguf_writer_strings(w, "names", names, 3);
    gguf_writer_strings(w, "no names", names, 0);
}

static void expect_number(const struct gguf *g, const char *key, double want)
{
    double v;
    assert_int_equal(gguf_get_f64(g, key, &v, NULL), OK);
    assert_true(v == want);
}

static void expect_keys(const struct gguf *g)
{
    struct gguf_str s;
    struct gguf_array a;
    uint64_t u, cursor = 0;
    bool yes = false;
    assert_int_equal(gguf_n_keys(g), 18); /* one of them the alignment */
    expect_number(g, "u8", 255);
    expect_number(g, "i8", -128);
    expect_number(g, "u16", 65535);
    expect_number(g, "i16", -32768);
    expect_number(g, "u32", UINT32_MAX);
    expect_number(g, "i32", INT32_MIN);
    expect_number(g, "i64", (double)INT64_MIN);
    expect_number(g, "f32", (double)0.1f);
    expect_number(g, "f64", 0.1);
    assert_int_equal(gguf_get_u64(g, "u64", &u, NULL), OK);
    assert_true(u == UINT64_MAX);
    assert_int_equal(gguf_get_bool(g, "yes", &yes, NULL), OK);
    assert_true(yes);
    assert_int_equal(gguf_get_str(g, "text", &s, NULL), OK);
    assert_true(gguf_str_eq(s, "h\xc3\xa9\n"));
    assert_int_equal(gguf_get_array(g, "words", &a, NULL), OK);
    assert_int_equal(a.count, 3);
    assert_int_equal(a.type, GGUF_I16);
    assert_int_equal(gguf_array_i64(&a, 2), -3);
    assert_int_equal(gguf_get_array(g, "flags", &a, NULL), OK);
    assert_int_equal(gguf_array_i64(&a, 0), 1);
    assert_int_equal(gguf_get_array(g, "names", &a, NULL), OK);
    assert_int_equal(a.count, 3);
    while (gguf_array_next_str(&a, &cursor, &s)) {
    }
    assert_int_equal(s.len, 3);
    assert_memory_equal(s.data, "x\0y", 3);
    assert_int_equal(gguf_get_array(g, "no names", &a, NULL), OK);
    assert_int_equal(a.count, 0);
}

static void fill(uint8_t *p, size_t n, int seed)
{
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)((int)i * 7 + seed);
}

static void round_trip(void **state)
{
    struct error err = {0};
    const char *path = files_path(*state, "out.gguf");
    static const uint64_t f32[] = {5}, q4[] = {64, 3}, f16[] = {2, 3, 2, 2};
    uint8_t a[20], b[108], c[48];
    fill(a, sizeof a, 0);
    fill(b, sizeof b, 1);
    fill(c, sizeof c, 2);
    struct gguf_writer *w = begin(path, 64);
    put_keys(w);
    gguf_writer_tensor(w, "vector", QUANT_F32, 1, f32);
    gguf_writer_tensor(w, "matrix", QUANT_Q4_0, 2, q4);
    gguf_writer_tensor(w, "deep", QUANT_F16, 4, f16);
    assert_int_equal(gguf_writer_tensor_bytes(w, 1), sizeof b);
    assert_int_equal(gguf_writer_data_bytes(w), sizeof a + sizeof b + sizeof c);
    uint64_t bytes = gguf_writer_file_bytes(w);
    assert_int_equal(gguf_writer_start(w, &err), OK);
    assert_int_equal(gguf_writer_put(w, 2, 0, c, sizeof c, &err), OK); /* in any order */
    assert_int_equal(gguf_writer_put(w, 1, 50, b + 50, sizeof b - 50, &err), OK);
    assert_int_equal(gguf_writer_put(w, 1, 0, b, 50, &err), OK);
    assert_int_equal(gguf_writer_put(w, 0, 0, a, sizeof a, &err), OK);
    assert_false(file_exists(path)); /* not before it is whole */
    assert_int_equal(gguf_writer_commit(w, &err), OK);

    struct gguf *g;
    if (gguf_open(path, &g, &err)) fail_msg("%s", err.msg);
    assert_int_equal(gguf_file_bytes(g), bytes);
    assert_int_equal(gguf_version(g), 3);
    expect_keys(g);
    assert_int_equal(gguf_n_tensors(g), 3);
    const struct gguf_tensor *t = gguf_tensor_find(g, "matrix");
    assert_memory_equal(t->data, b, sizeof b);
    assert_int_equal((uintptr_t)t->data % 64, 0);
    assert_memory_equal(gguf_tensor_find(g, "vector")->data, a, sizeof a);
    t = gguf_tensor_find(g, "deep");
    assert_memory_equal(t->data, c, sizeof c);
    assert_int_equal(t->n_dims, 4);
    assert_int_equal(t->ne[1], 3);
    gguf_close(g);
}

/* ---- mistakes ---------------------------------------------------------------------------------
 */

static void make_wide(struct gguf_writer *w)
{
    gguf_writer_u64(w, "k", GGUF_U8, 256);
}
static void make_negative(struct gguf_writer *w)
{
    gguf_writer_i64(w, "k", GGUF_U32, -1);
}
static void make_float(struct gguf_writer *w)
{
    gguf_writer_u64(w, "k", GGUF_F32, 1);
}
static void make_whole(struct gguf_writer *w)
{
    gguf_writer_f64(w, "k", GGUF_U32, 1);
}
static void make_nameless(struct gguf_writer *w)
{
    gguf_writer_bool(w, "", true);
}
static void make_nested(struct gguf_writer *w)
{
    gguf_writer_array(w, "k", GGUF_ARRAY, 0, "");
}
static void make_untrue(struct gguf_writer *w)
{
    gguf_writer_array(w, "k", GGUF_BOOL, 1, "\2");
}
static void make_many(struct gguf_writer *w)
{
    gguf_writer_array(w, "k", GGUF_U64, UINT64_MAX / 4, "");
}
static void make_twice(struct gguf_writer *w)
{
    gguf_writer_bool(w, "k", true);
    gguf_writer_bool(w, "k", true);
}
static void make_tensor(struct gguf_writer *w, uint32_t type, uint32_t n_dims, uint64_t n)
{
    uint64_t ne[5] = {n, n, n, n, n};
    gguf_writer_tensor(w, "t", type, n_dims, ne);
}
static void make_rows(struct gguf_writer *w)
{
    make_tensor(w, QUANT_Q4_K, 2, 32);
}
static void make_empty(struct gguf_writer *w)
{
    make_tensor(w, QUANT_F32, 2, 0);
}
static void make_type(struct gguf_writer *w)
{
    make_tensor(w, 99, 1, 32);
}
static void make_dims(struct gguf_writer *w)
{
    make_tensor(w, QUANT_F32, 5, 1);
}
static void make_large(struct gguf_writer *w)
{
    make_tensor(w, QUANT_F32, 4, 1u << 31);
}
static void make_two(struct gguf_writer *w)
{
    make_tensor(w, QUANT_F32, 1, 1);
    make_tensor(w, QUANT_F32, 1, 1);
}

static void mistakes_are_refused(void **state)
{
    static const struct {
        void (*make)(struct gguf_writer *w);
        const char *message;
    } cases[] = {
        {make_wide, "256"},           {make_negative, "-1"},         {make_float, "whole number"},
        {make_whole, "float"},        {make_nameless, "empty"},      {make_nested, "no plain type"},
        {make_untrue, "truth value"}, {make_many, "values"},         {make_twice, "twice"},
        {make_rows, "Q4_K"},          {make_empty, "no elements"},   {make_type, "type 99"},
        {make_dims, "5 dimensions"},  {make_large, "more elements"}, {make_two, "twice"},
    };
    const char *path = files_path(*state, "bad.gguf");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0};
        struct gguf_writer *w = begin(path, 0);
        cases[i].make(w);
        gguf_writer_bool(w, "after", true); /* goes nowhere */
        if (!gguf_writer_start(w, &err)) fail_msg("case %zu (%s) passed", i, cases[i].message);
        if (!strstr(err.msg, cases[i].message) || !strstr(err.msg, path))
            fail_msg("case %zu: %s", i, err.msg);
        gguf_writer_abandon(w);
        assert_false(file_exists(path));
    }
    struct gguf_writer *w;
    assert_int_equal(gguf_writer_begin(path, 24, &w, NULL), ERR_INVALID);
    assert_null(w);
}

static int files_in(const char *dir)
{
    char command[600];
    int n = -1;
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", dir);
    FILE *p = popen(command, "r");
    if (!p || fscanf(p, "%d", &n) != 1) n = -1;
    if (p) pclose(p);
    return n;
}

static struct gguf_writer *one_tensor(const char *path, uint64_t n)
{
    struct gguf_writer *w = begin(path, 0);
    gguf_writer_tensor(w, "t", QUANT_F32, 1, &n);
    return w;
}

static void a_part_is_no_file(void **state)
{
    const struct files *f = *state;
    const char *path = files_path(f, "out.gguf");
    struct error err = {0};
    assert_int_equal(file_replace(path, "old", 3, NULL), OK);
    int before = files_in(f->dir);
    struct gguf_writer *w = one_tensor(path, 4);
    assert_int_equal(gguf_writer_put(w, 0, 0, "1234", 4, &err), ERR_INVALID); /* before the start */
    assert_int_equal(gguf_writer_start(w, &err), OK);
    assert_int_equal(gguf_writer_put(w, 0, 14, "1234", 4, &err), ERR_INVALID);
    assert_int_equal(gguf_writer_put(w, 0, UINT64_MAX, "1234", 4, &err), ERR_INVALID);
    assert_int_equal(gguf_writer_put(w, 1, 0, "1234", 4, &err), ERR_INVALID);
    assert_int_equal(gguf_writer_put(w, 0, 0, "123456789012", 12, &err), OK);
    assert_int_equal(gguf_writer_commit(w, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "12 of its 16"));
    assert_int_equal(files_in(f->dir), before); /* no temporary file is left */
    struct buf text;
    buf_init(&text, 100);
    assert_int_equal(file_read_all(path, &text, NULL), OK);
    assert_string_equal(text.data, "old");
    buf_fini(&text);

    w = one_tensor(files_path(f, "none/out.gguf"), 4);
    assert_int_equal(gguf_writer_start(w, &err), ERR_IO);
    gguf_writer_abandon(w);
}

static void a_full_disk_shows_at_the_start(void **state)
{
    const struct files *f = *state;
    struct error err = {0};
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){1 << 20, old.rlim_max};
    int before = files_in(f->dir);
    struct gguf_writer *w = one_tensor(files_path(f, "large.gguf"), 1 << 20);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum status st = gguf_writer_start(w, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(st, ERR_IO);
    assert_non_null(strstr(err.msg, "MiB are needed"));
    gguf_writer_abandon(w);
    assert_int_equal(files_in(f->dir), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(round_trip, new_folder, remove_folder),
        cmocka_unit_test_setup_teardown(mistakes_are_refused, new_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_part_is_no_file, new_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_full_disk_shows_at_the_start, new_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
