/* Reading sound files: keys, getters, arrays, tensors, identity. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "gguf/gguf_int.h"
#include "gguf_build.h"
#include "gguf_exercise.h"

static struct gguf *open_bytes(const struct buf *b)
{
    struct gguf *g;
    struct error err = {0};
    if (gguf_open_memory(b->data, b->len, "sample.gguf", &g, &err) != OK) fail_msg("%s", err.msg);
    return g;
}

static void sample(uint32_t version, struct buf *out)
{
    buf_init(out, 1 << 20);
    build_sample(version, out);
}

static void both_versions(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        struct buf b;
        sample(version, &b);
        struct gguf *g = open_bytes(&b);
        assert_int_equal(gguf_version(g), version);
        assert_string_equal(gguf_path(g), "sample.gguf");
        assert_int_equal(gguf_file_bytes(g), b.len);
        assert_int_equal(gguf_n_keys(g), 17);
        assert_true(gguf_str_eq(gguf_key_name(g, 0), "general.architecture"));
        assert_int_equal(gguf_key_type(g, 0), GGUF_STRING);
        assert_true(gguf_str_eq(gguf_key_name(g, 16), "none"));
        assert_int_equal(gguf_key_type(g, 16), GGUF_ARRAY);
        assert_null(gguf_exercise(g, (const uint8_t *)b.data, b.len));
        gguf_close(g);
        buf_fini(&b);
    }
}

static void integers(void **state)
{
    (void)state;
    struct buf b;
    sample(3, &b);
    struct gguf *g = open_bytes(&b);
    uint64_t u64;
    uint32_t u32;
    const struct {
        const char *key;
        uint64_t value;
    } good[] = {{"k.u8", 200}, {"k.u16", 60000}, {"k.u32", 4000000000u}, {"k.u64", UINT64_MAX}};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(gguf_get_u64(g, good[i].key, &u64, NULL), OK);
        assert_true(u64 == good[i].value);
    }
    assert_int_equal(gguf_get_u32(g, "k.u32", &u32, NULL), OK);
    assert_true(u32 == 4000000000u);
    const char *const bad[] = {"k.i8",  "k.i16", "k.i32",  "k.i64",
                               "k.f32", "k.f64", "k.bool", "tokens"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error err = {0};
        assert_int_equal(gguf_get_u64(g, bad[i], &u64, &err), ERR_FORMAT);
        assert_int_equal(err.code, ERR_FORMAT);
        assert_non_null(strstr(err.msg, "sample.gguf"));
        assert_non_null(strstr(err.msg, bad[i]));
    }
    struct error err;
    assert_int_equal(gguf_get_u32(g, "k.u64", &u32, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "18446744073709551615"));
    assert_int_equal(gguf_get_u64(g, "k.i64", &u64, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "-9223372036854775808"));
    assert_int_equal(gguf_get_u64(g, "k.u", &u64, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "'k.u'"));
    gguf_close(g);
    buf_fini(&b);
}

static void signed_types_that_hold_a_natural_number(void **state)
{
    (void)state;
    const enum gguf_type types[] = {GGUF_I8, GGUF_I16, GGUF_I32, GGUF_I64};
    for (size_t i = 0; i < 4; i++) {
        struct gguf_build b;
        struct buf out;
        uint32_t v = 0;
        build_init(&b, 3);
        buf_init(&out, 1 << 16);
        build_number(&b, "n", types[i], 97);
        build_finish(&b, &out);
        struct gguf *g = open_bytes(&out);
        assert_int_equal(gguf_get_u32(g, "n", &v, NULL), OK);
        assert_int_equal(v, 97);
        gguf_close(g);
        buf_fini(&out);
        build_fini(&b);
    }
}

static void other_scalars(void **state)
{
    (void)state;
    struct buf b;
    sample(3, &b);
    struct gguf *g = open_bytes(&b);
    struct error err;
    double d = 0;
    bool truth = false;
    struct gguf_str s = {0};
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"k.u8", 200},   {"k.i8", -100},          {"k.i16", -30000},
                   {"k.i32", -2e9}, {"k.i64", -0x1p63},      {"k.u64", 0x1p64},
                   {"k.f64", 2.0},  {"k.f32", (double)1e-5f}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        assert_int_equal(gguf_get_f64(g, numbers[i].key, &d, NULL), OK);
        assert_true(d == numbers[i].value);
    }
    assert_int_equal(gguf_get_f64(g, "k.bool", &d, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_f64(g, "tokens", &d, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_bool(g, "k.bool", &truth, NULL), OK);
    assert_true(truth);
    assert_int_equal(gguf_get_bool(g, "k.u8", &truth, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "a truth value is needed"));
    assert_int_equal(gguf_get_bool(g, "absent", &truth, &err), ERR_NOT_FOUND);
    assert_int_equal(gguf_get_str(g, "general.architecture", &s, NULL), OK);
    assert_true(gguf_str_eq(s, "llama"));
    assert_false(gguf_str_eq(s, "llam"));
    assert_false(gguf_str_eq(s, "llamas"));
    assert_int_equal(gguf_get_str(g, "tokens", &s, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "is an array; a string is needed"));
    assert_int_equal(gguf_get_str(g, "absent", &s, &err), ERR_NOT_FOUND);
    gguf_close(g);
    buf_fini(&b);
}

static void arrays(void **state)
{
    (void)state;
    struct buf b;
    sample(3, &b);
    struct gguf *g = open_bytes(&b);
    struct gguf_array a;
    struct gguf_str s;
    struct error err;
    assert_int_equal(gguf_get_array(g, "tokens", &a, NULL), OK);
    assert_int_equal(a.type, GGUF_STRING);
    assert_int_equal(a.count, 5);
    const char *const want[] = {"<s>", "", "a", "hello", "\xff"};
    uint64_t cursor = 0;
    for (int i = 0; i < 5; i++) {
        assert_true(gguf_array_next_str(&a, &cursor, &s));
        assert_true(gguf_str_eq(s, want[i]));
    }
    assert_false(gguf_array_next_str(&a, &cursor, &s));
    assert_false(gguf_array_next_str(&a, &cursor, &s));

    assert_int_equal(gguf_get_array(g, "none", &a, NULL), OK);
    cursor = 0;
    assert_int_equal(a.count, 0);
    assert_false(gguf_array_next_str(&a, &cursor, &s));

    assert_int_equal(gguf_get_array(g, "scores", &a, NULL), OK);
    assert_true(gguf_array_f64(&a, 0) == 1.0 && gguf_array_f64(&a, 1) == -2.0);
    assert_true(gguf_array_i64(&a, 1) == -2);
    assert_false(gguf_array_next_str(&a, &cursor, &s));
    assert_int_equal(gguf_get_array(g, "kinds", &a, NULL), OK);
    assert_true(gguf_array_i64(&a, 0) == 1 && gguf_array_i64(&a, 1) == -1);
    assert_true(gguf_array_f64(&a, 1) == -1.0);
    assert_int_equal(gguf_get_array(g, "truths", &a, NULL), OK);
    assert_true(gguf_array_i64(&a, 0) == 0 && gguf_array_f64(&a, 2) == 1.0);
    assert_int_equal(gguf_get_array(g, "k.u8", &a, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_array(g, "absent", &a, &err), ERR_NOT_FOUND);
    gguf_close(g);
    buf_fini(&b);
}

static void array_values_beyond_int64(void **state)
{
    (void)state;
    const double values[] = {NAN, INFINITY, -INFINITY, 1e300, -9.75, 0x1p63, -0x1p63};
    const int64_t want[] = {0, INT64_MAX, INT64_MIN, INT64_MAX, -9, INT64_MAX, INT64_MIN};
    struct gguf_array a = {GGUF_F64, 7, sizeof values, (const uint8_t *)values};
    for (uint64_t i = 0; i < 7; i++) assert_true(gguf_array_i64(&a, i) == want[i]);
    const uint64_t large[] = {UINT64_MAX, 5};
    a = (struct gguf_array){GGUF_U64, 2, sizeof large, (const uint8_t *)large};
    assert_true(gguf_array_i64(&a, 0) == INT64_MAX && gguf_array_i64(&a, 1) == 5);
    a = (struct gguf_array){GGUF_I64, 2, sizeof large, (const uint8_t *)large};
    assert_true(gguf_array_i64(&a, 0) == -1 && gguf_array_f64(&a, 0) == -1.0);
}

/* Another program may write to the mapped file after it was checked. */
static void a_string_that_grew_ends_the_walk(void **state)
{
    (void)state;
    const uint8_t bytes[] = {1, 0, 0, 0, 0, 0, 0, 0, 'x', 99, 0, 0, 0, 0, 0, 0, 0, 'y'};
    struct gguf_array a = {GGUF_STRING, 2, sizeof bytes, bytes};
    struct gguf_str s;
    uint64_t cursor = 0;
    assert_true(gguf_array_next_str(&a, &cursor, &s));
    assert_false(gguf_array_next_str(&a, &cursor, &s));
}

static void tensors(void **state)
{
    (void)state;
    struct buf b;
    sample(2, &b);
    struct gguf *g = open_bytes(&b);
    assert_int_equal(gguf_n_tensors(g), 3);
    const struct gguf_tensor *t = gguf_tensor_find(g, "blk.0.w");
    assert_non_null(t);
    assert_ptr_equal(t, gguf_tensor_at(g, 1));
    assert_int_equal(t->type, 2);
    assert_int_equal(t->n_dims, 2);
    assert_true(t->ne[0] == 32 && t->ne[1] == 2 && t->ne[2] == 1 && t->ne[3] == 1);
    assert_int_equal(t->size, 36);
    assert_int_equal((t->data - (const uint8_t *)b.data) % 32, 0);
    for (int i = 0; i < 36; i++) assert_int_equal(t->data[i], 2 + i);
    assert_ptr_equal(gguf_tensor_find(g, "norm"), gguf_tensor_at(g, 0));
    assert_int_equal(gguf_tensor_at(g, 2)->n_dims, 4);
    assert_int_equal(gguf_tensor_at(g, 2)->size, 12);
    assert_null(gguf_tensor_find(g, "nor"));
    assert_null(gguf_tensor_find(g, "norm2"));
    gguf_close(g);
    buf_fini(&b);
}

static void many_names_are_all_found(void **state)
{
    (void)state;
    enum { N = 3000 };
    struct gguf_build b;
    struct buf out;
    build_init(&b, 3);
    buf_init(&out, 1 << 22);
    for (int i = 0; i < N; i++) {
        char name[32];
        snprintf(name, sizeof name, "t%d", i * 7919 % N);
        build_number(&b, name, GGUF_U32, (uint64_t)i);
        build_tensor(&b, name, 0, (const uint64_t[]){1, 0}, 4);
    }
    build_finish(&b, &out);
    struct gguf *g = open_bytes(&out);
    for (int i = 0; i < N; i++) {
        char name[32];
        uint32_t v;
        snprintf(name, sizeof name, "t%d", i * 7919 % N);
        assert_int_equal(gguf_get_u32(g, name, &v, NULL), OK);
        assert_int_equal(v, i);
        assert_ptr_equal(gguf_tensor_find(g, name), gguf_tensor_at(g, (size_t)i));
    }
    gguf_close(g);
    buf_fini(&out);
    build_fini(&b);
}

static void alignment_of_the_file(void **state)
{
    (void)state;
    for (uint32_t alignment = 8; alignment <= 4096; alignment *= 2) {
        struct gguf_build b;
        struct buf out;
        build_init(&b, 3);
        buf_init(&out, 1 << 16);
        b.alignment = alignment;
        build_number(&b, "general.alignment", GGUF_U32, alignment);
        build_tensor(&b, "a", 0, (const uint64_t[]){1, 0}, 4);
        build_tensor(&b, "b", 0, (const uint64_t[]){1, 0}, 4);
        build_finish(&b, &out);
        struct gguf *g = open_bytes(&out);
        const struct gguf_tensor *t = gguf_tensor_find(g, "b");
        assert_int_equal((t->data - (const uint8_t *)out.data) % alignment, 0);
        assert_int_equal(t->data[0], 2);
        gguf_close(g);
        buf_fini(&out);
        build_fini(&b);
    }
}

static void only_a_vocabulary(void **state)
{
    (void)state;
    const char *const tokens[] = {"a", "b"};
    struct gguf_build b;
    struct buf out;
    build_init(&b, 3);
    buf_init(&out, 1 << 16);
    build_strings(&b, "tokenizer.ggml.tokens", tokens, 2);
    build_finish(&b, &out);
    struct gguf *g = open_bytes(&out);
    assert_int_equal(gguf_n_tensors(g), 0);
    assert_null(gguf_tensor_find(g, "a"));
    assert_null(gguf_exercise(g, (const uint8_t *)out.data, out.len));
    gguf_close(g);
    buf_fini(&out);
    build_fini(&b);
}

static void nothing_at_all(void **state)
{
    (void)state;
    struct gguf_build b;
    struct buf out;
    build_init(&b, 3);
    buf_init(&out, 1 << 16);
    build_finish(&b, &out);
    struct gguf *g = open_bytes(&out);
    assert_int_equal(gguf_n_keys(g) + gguf_n_tensors(g), 0);
    assert_null(gguf_exercise(g, (const uint8_t *)out.data, out.len));
    gguf_close(g);
    gguf_close(NULL);
    buf_fini(&out);
    build_fini(&b);
}

/* Writes to a new temporary file and opens it. */
static struct gguf *open_file(const struct buf *b, char path[64])
{
    strcpy(path, "/tmp/hearth-gguf-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, b->data, b->len), (ssize_t)b->len);
    close(fd);
    struct gguf *g;
    struct error err = {0};
    if (gguf_open(path, &g, &err) != OK) fail_msg("%s", err.msg);
    return g;
}

static void identity_follows_the_bytes(void **state)
{
    (void)state;
    struct buf b;
    char path[64], path2[64], first[65];
    sample(3, &b);
    struct gguf *g = open_file(&b, path);
    assert_string_equal(gguf_path(g), path);
    assert_null(gguf_exercise(g, NULL, 0));
    strcpy(first, gguf_identity(g));
    assert_int_equal(strspn(first, "0123456789abcdef"), 64);
    gguf_close(g);
    struct error err;
    assert_int_equal(gguf_open(path, &g, &err), OK);
    assert_string_equal(gguf_identity(g), first);
    gguf_close(g);

    struct gguf *copy = open_file(&b, path2);
    assert_string_not_equal(gguf_identity(copy), first);
    gguf_close(copy);
    unlink(path);
    unlink(path2);

    struct gguf *memory = open_bytes(&b);
    strcpy(first, gguf_identity(memory));
    gguf_close(memory);
    b.data[34] ^= 1; /* in a key's name */
    memory = open_bytes(&b);
    assert_string_not_equal(gguf_identity(memory), first);
    gguf_close(memory);
    buf_fini(&b);
}

/* Resident kilobytes of the mapping that holds `p`, from the kernel's own accounts. */
static long resident_kb(const void *p)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    if (!f) return -1;
    char line[512];
    long kb = -1;
    bool here = false;
    while (fgets(line, sizeof line, f)) {
        unsigned long begin, end;
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
            here = (uintptr_t)p >= begin && (uintptr_t)p < end;
        if (here && sscanf(line, "Rss: %ld kB", &kb) == 1) break;
    }
    fclose(f);
    return kb;
}

static void released_pages_leave_memory_and_stay_readable(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    struct gguf_build b;
    struct buf out;
    char path[64];
    build_init(&b, 3);
    buf_init(&out, 1 << 22);
    build_tensor(&b, "small", 0, (const uint64_t[]){1, 0}, 4);
    build_tensor(&b, "large", 0, (const uint64_t[]){SIZE / 4, 0}, SIZE);
    build_finish(&b, &out);
    struct gguf *g = open_file(&out, path);
    unlink(path);
    const struct gguf_tensor *t = gguf_tensor_find(g, "large");
    assert_null(gguf_exercise(g, NULL, 0));
    for (size_t i = 0; i < SIZE; i++) assert_int_equal(t->data[i], (2 + i) & 255);
    long before = resident_kb(t->data);
    gguf_tensor_release_pages(g, t);
    long after = resident_kb(t->data);
    if (before < 0)
        print_message("no /proc/self/smaps: the effect on memory is not checked\n");
    else
        assert_true(before >= 1024 && after < 64);
    for (size_t i = 0; i < SIZE; i++) assert_int_equal(t->data[i], (2 + i) & 255);
    gguf_close(g);

    /* Memory that the caller lent must never be dropped. */
    char *lent = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(lent != MAP_FAILED);
    memcpy(lent, out.data, out.len);
    assert_int_equal(gguf_open_memory(lent, out.len, "lent", &g, NULL), OK);
    t = gguf_tensor_find(g, "large");
    gguf_tensor_release_pages(g, t);
    for (size_t i = 0; i < SIZE; i++) assert_int_equal(t->data[i], (2 + i) & 255);
    gguf_close(g);
    munmap(lent, 2 * SIZE);
    buf_fini(&out);
    build_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_versions),
        cmocka_unit_test(integers),
        cmocka_unit_test(signed_types_that_hold_a_natural_number),
        cmocka_unit_test(other_scalars),
        cmocka_unit_test(arrays),
        cmocka_unit_test(array_values_beyond_int64),
        cmocka_unit_test(a_string_that_grew_ends_the_walk),
        cmocka_unit_test(tensors),
        cmocka_unit_test(many_names_are_all_found),
        cmocka_unit_test(alignment_of_the_file),
        cmocka_unit_test(only_a_vocabulary),
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(identity_follows_the_bytes),
        cmocka_unit_test(released_pages_leave_memory_and_stay_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
