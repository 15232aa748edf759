/* Importance matrices: what is written is read back and adds up; what cannot be one is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gguf/gguf.h"
#include "gguf/gguf_write.h"
#include "gguf/imatrix.h"
#include "gguf_files.h"
#include "quant/quant.h"

static struct files files;
static char path[512];

static int new_folder(void **state)
{
    (void)state;
    if (!files_init(&files)) return -1;
    snprintf(path, sizeof path, "%s", files_path(&files, "m.gguf"));
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    files_fini(&files);
    return 0;
}

static struct imatrix *create(void)
{
    struct imatrix *m;
    assert_int_equal(imatrix_create(&m, NULL), OK);
    return m;
}

static struct imatrix_entry *entry(struct imatrix *m, const char *name, size_t cols, size_t parts)
{
    struct imatrix_entry *e;
    struct error err = {0};
    if (imatrix_entry(m, name, strlen(name), cols, parts, &e, &err)) fail_msg("%s", err.msg);
    return e;
}

/* Two matrices, one with three experts of which the last was never seen. */
static struct imatrix *example(void)
{
    struct imatrix *m = create();
    struct imatrix_entry *up = entry(m, "blk.1.ffn_up_exps.weight", 2, 3);
    for (int i = 0; i < 4; i++) up->sums[i] = 0.5 * i;
    up->counts[0] = 700;
    up->counts[1] = 324;
    struct imatrix_entry *q = entry(m, "blk.0.attn_q.weight", 2000, 1);
    for (int i = 0; i < 2000; i++) q->sums[i] = i;
    q->counts[0] = 1024;
    assert_int_equal(imatrix_add_dataset(m, "a.txt", 5, NULL), OK);
    return m;
}

static const struct imatrix_info example_info = {.chunk_size = 512,
                                                 .run = "0123456789abcdef0123456789abcdef"
                                                        "0123456789abcdef0123456789abcdef",
                                                 .run_chunks = 2};

static void write_example(void)
{
    struct imatrix *m = example();
    struct error err = {0};
    if (imatrix_write(m, &example_info, path, &err)) fail_msg("%s", err.msg);
    imatrix_destroy(m);
}

static void check_twice_the_example(const struct imatrix *m, double factor)
{
    assert_int_equal(imatrix_n_entries(m), 2);
    const struct imatrix_entry *up = imatrix_find(m, "blk.1.ffn_up_exps.weight", 24);
    const struct imatrix_entry *q = imatrix_find(m, "blk.0.attn_q.weight", 19);
    assert_non_null(up);
    assert_non_null(q);
    assert_null(imatrix_find(m, "blk.0.attn_q.weigh", 18));
    assert_int_equal(up->n_cols, 2);
    assert_int_equal(up->n_parts, 3);
    for (int i = 0; i < 4; i++) assert_true(up->sums[i] == factor * 0.5 * i);
    assert_true(up->sums[4] == 0 && up->sums[5] == 0);
    assert_true(up->counts[0] == factor * 700 && up->counts[1] == factor * 324);
    assert_true(up->counts[2] == 0);
    assert_int_equal(q->n_cols, 2000);
    for (int i = 0; i < 2000; i++) assert_true(q->sums[i] == factor * i);
    assert_true(q->counts[0] == factor * 1024);
}

static void test_files_come_back_and_add_up(void **state)
{
    (void)state;
    write_example();
    struct imatrix *m = create();
    struct imatrix_info info;
    assert_int_equal(imatrix_read(m, path, &info, NULL), OK);
    assert_int_equal(info.chunk_size, 512);
    assert_string_equal(info.run, example_info.run);
    assert_int_equal(info.run_chunks, 2);
    check_twice_the_example(m, 1);
    assert_int_equal(imatrix_chunk_count(m, 512), 2);
    assert_int_equal(imatrix_read(m, path, NULL, NULL), OK);
    check_twice_the_example(m, 2);
    assert_int_equal(imatrix_chunk_count(m, 512), 4);
    imatrix_destroy(m);
}

static void check_tensor(const struct gguf *g, size_t i, const char *name, uint64_t ne0,
                         uint64_t ne1)
{
    const struct gguf_tensor *t = gguf_tensor_at(g, i);
    assert_true(gguf_str_eq(t->name, name));
    assert_int_equal(t->type, QUANT_F32);
    assert_int_equal(t->ne[0], ne0);
    assert_int_equal(t->ne[1], ne1);
}

static void test_the_file_is_as_llama_cpp_writes_it(void **state)
{
    (void)state;
    struct gguf *g;
    struct gguf_str s;
    struct gguf_array texts;
    uint64_t n, at = 0;
    write_example();
    assert_int_equal(gguf_open(path, &g, NULL), OK);
    assert_int_equal(gguf_get_str(g, "general.type", &s, NULL), OK);
    assert_true(gguf_str_eq(s, "imatrix"));
    assert_int_equal(gguf_get_array(g, "imatrix.datasets", &texts, NULL), OK);
    assert_int_equal(texts.count, 1);
    assert_true(gguf_array_next_str(&texts, &at, &s) && gguf_str_eq(s, "a.txt"));
    assert_int_equal(gguf_get_u64(g, "imatrix.chunk_count", &n, NULL), OK);
    assert_int_equal(n, 2);
    assert_int_equal(gguf_get_u64(g, "imatrix.chunk_size", &n, NULL), OK);
    assert_int_equal(n, 512);
    assert_int_equal(gguf_n_tensors(g), 4);
    check_tensor(g, 0, "blk.0.attn_q.weight.in_sum2", 2000, 1);
    check_tensor(g, 1, "blk.0.attn_q.weight.counts", 1, 1);
    check_tensor(g, 2, "blk.1.ffn_up_exps.weight.in_sum2", 2, 3);
    check_tensor(g, 3, "blk.1.ffn_up_exps.weight.counts", 1, 3);
    gguf_close(g);
}

static void test_other_shapes_do_not_add_up(void **state)
{
    (void)state;
    struct error err = {0};
    struct imatrix_entry *e;
    struct imatrix *m = create();
    write_example();
    entry(m, "blk.0.attn_q.weight", 1999, 1);
    assert_int_equal(imatrix_read(m, path, NULL, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "blk.0.attn_q.weight"));
    assert_non_null(strstr(err.msg, path));
    assert_int_equal(imatrix_entry(m, "blk.0.attn_q.weight", 19, 1999, 2, &e, &err), ERR_INVALID);
    assert_int_equal(imatrix_entry(m, "x", 1, SIZE_MAX / 2, 3, &e, &err), ERR_NOMEM);
    imatrix_destroy(m);
}

static void test_nothing_and_no_numbers_are_not_written(void **state)
{
    (void)state;
    struct error err = {0};
    struct imatrix *m = create();
    unlink(path);
    assert_int_equal(imatrix_write(m, &example_info, path, &err), ERR_INVALID);
    struct imatrix_entry *e = entry(m, "blk.0.x", 4, 1);
    e->sums[3] = 1e300; /* no float */
    assert_int_equal(imatrix_write(m, &example_info, path, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "blk.0.x"));
    e->sums[3] = NAN;
    assert_int_equal(imatrix_write(m, &example_info, path, &err), ERR_FORMAT);
    assert_int_equal(access(path, F_OK), -1);
    imatrix_destroy(m);
}

static void test_many_entries_and_texts(void **state)
{
    (void)state;
    struct imatrix *m = create();
    char name[32];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "blk.%d.w", i);
        entry(m, name, 1, 1)->sums[0] = i;
        assert_int_equal(imatrix_add_dataset(m, name, strlen(name), NULL), OK);
    }
    assert_int_equal(imatrix_write(m, &(struct imatrix_info){0}, path, NULL), OK);
    imatrix_destroy(m);
    m = create();
    struct imatrix_info info;
    assert_int_equal(imatrix_read(m, path, &info, NULL), OK);
    assert_int_equal(imatrix_n_entries(m), 500);
    assert_true(imatrix_find(m, "blk.321.w", 9)->sums[0] == 321);
    assert_int_equal(info.run[0], 0);
    struct error err = {0};
    for (int i = 0; i < 8; i++)
        if (imatrix_read(m, path, NULL, &err)) break;
    assert_int_equal(err.code, ERR_LIMIT);
    imatrix_destroy(m);
}

/* A file that says it is an importance matrix, with two tensors of two or three floats. */
struct odd {
    const char *type, *first, *second;
    uint32_t tensor_type;
    uint64_t n_first, n_second;
    float value;
};

static void write_odd(const struct odd *o)
{
    struct gguf_writer *w;
    float x[16] = {1, o->value};
    assert_int_equal(gguf_writer_begin(path, 0, &w, NULL), OK);
    gguf_writer_str(w, "general.type", o->type);
    gguf_writer_tensor(w, o->first, o->tensor_type, 1, &o->n_first);
    if (o->second) gguf_writer_tensor(w, o->second, QUANT_F32, 1, &o->n_second);
    assert_int_equal(gguf_writer_start(w, NULL), OK);
    for (size_t i = 0; i < (o->second ? 2u : 1u); i++)
        assert_int_equal(
            gguf_writer_put(w, i, 0, x, (size_t)gguf_writer_tensor_bytes(w, i), NULL), OK);
    assert_int_equal(gguf_writer_commit(w, NULL), OK);
}

static void test_what_cannot_be_one_is_refused(void **state)
{
    (void)state;
    static const struct {
        struct odd odd;
        const char *part;
    } cases[] = {
        {{"model", "a.in_sum2", "a.counts", QUANT_F32, 2, 1, 1}, "no importance matrix"},
        {{"imatrix", "a.sum2", "a.counts", QUANT_F32, 2, 1, 1}, "without any sums"},
        {{"imatrix", ".in_sum2", "a.counts", QUANT_F32, 2, 1, 1}, "without any sums"},
        {{"imatrix", "a.in_sum2", NULL, QUANT_F32, 2, 0, 1}, "a.counts"},
        {{"imatrix", "a.in_sum2", "b.counts", QUANT_F32, 2, 1, 1}, "a.counts"},
        {{"imatrix", "a.in_sum2", "a.counts", QUANT_F16, 2, 1, 1}, "not F32"},
        {{"imatrix", "a.in_sum2", "a.counts", QUANT_F32, 3, 2, 1}, "3 sums, but 2 counts"},
        {{"imatrix", "a.in_sum2", "a.counts", QUANT_F32, 2, 1, -1}, "no sum of squares"},
        {{"imatrix", "a.in_sum2", "a.counts", QUANT_F32, 2, 1, NAN}, "no sum of squares"},
        {{"imatrix", "a.in_sum2", "a.counts", QUANT_F32, 2, 1, INFINITY}, "no sum of squares"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err = {0};
        struct imatrix *m = create();
        write_odd(&cases[i].odd);
        assert_int_equal(imatrix_read(m, path, NULL, &err), ERR_FORMAT);
        if (!strstr(err.msg, cases[i].part) || !strstr(err.msg, path)) fail_msg("%s", err.msg);
        imatrix_destroy(m);
    }
    struct odd good = {"imatrix", "a.in_sum2", "a.counts", QUANT_F32, 4, 2, 3};
    struct imatrix *m = create();
    write_odd(&good);
    assert_int_equal(imatrix_read(m, path, NULL, NULL), OK);
    assert_int_equal(imatrix_find(m, "a", 1)->n_cols, 2);
    assert_int_equal(imatrix_find(m, "a", 1)->n_parts, 2);
    imatrix_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_come_back_and_add_up),
        cmocka_unit_test(test_the_file_is_as_llama_cpp_writes_it),
        cmocka_unit_test(test_other_shapes_do_not_add_up),
        cmocka_unit_test(test_nothing_and_no_numbers_are_not_written),
        cmocka_unit_test(test_many_entries_and_texts),
        cmocka_unit_test(test_what_cannot_be_one_is_refused),
    };
    return cmocka_run_group_tests(tests, new_folder, remove_folder);
}
