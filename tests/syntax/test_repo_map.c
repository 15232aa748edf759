/* The map of four small files: a library, its user, a second user and a stranger. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "syntax/repo_map.h"

static const struct {
    const char *path, *text;
} sources[] = {
    {"main.c", "int main(void) { return parse_header(1) + parse_header(2) + other(); }\n"},
    {"parse.c", "int parse_header(int x) { return read_all_bytes(x); }\nint unused_here(void) { return 0; }\n"},
    {"read.c", "int read_all_bytes(int x) { return x; }\n"},
    {"stray.c", "int other(void) { return 3; }\nint stray(void) { return 4; }\n"},
};
enum { N = 4 };

static struct repo_map_file files[N];
static bool built;

static int setup(void **state)
{
    (void)state;
    struct syntax_parser *p;
    struct error err;
    const struct syntax_language *c = syntax_language_find("c", 1);
    built = syntax_language_has_grammar(c);
    if (syntax_parser_create(&p, &err)) return -1;
    for (size_t i = 0; i < N; i++) {
        struct syntax_facts *f;
        if (syntax_facts_read(p, c, sources[i].text, strlen(sources[i].text), NULL, &f, &err)) return -1;
        files[i] = (struct repo_map_file){.path = sources[i].path, .facts = f};
    }
    syntax_parser_destroy(p);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < N; i++) syntax_facts_destroy((struct syntax_facts *)files[i].facts);
    return 0;
}

static const char *name_at(const struct repo_map *m, size_t i)
{
    return m->files[m->entries[i].file].facts->definitions[m->entries[i].definition].name;
}

static size_t count_bytes(void *ctx, const char *text, size_t len)
{
    (void)ctx, (void)text;
    return len;
}

static void test_rank(void **state)
{
    (void)state;
    if (!built) skip();
    struct repo_map m;
    struct error err;
    assert_int_equal(repo_map_init(&m, files, N, NULL, 0, &err), OK);
    double sum = 0, all = 0;
    for (size_t i = 0; i < N; i++) sum += m.file_rank[i];
    for (size_t i = 0; i < m.n_entries; i++) all += m.entries[i].rank;
    assert_true(fabs(sum - 1) < 1e-6);
    assert_true(all <= 1 + 1e-6);
    assert_int_equal(m.n_entries, 6);
    /* All of parse.c's rank flows to what it calls; long names in several words outweigh short ones. */
    assert_string_equal(name_at(&m, 0), "read_all_bytes");
    assert_string_equal(name_at(&m, 1), "parse_header");
    assert_string_equal(name_at(&m, 2), "other");
    assert_true(m.entries[2].rank > 0 && m.entries[3].rank == 0);
    repo_map_fini(&m);
    /* What is asked for comes first. */
    const char *asked[] = {"other", "x"};
    assert_int_equal(repo_map_init(&m, files, N, asked, 2, &err), OK);
    double rank = 0;
    for (size_t i = 0; i < m.n_entries; i++)
        if (strcmp(name_at(&m, i), "other") == 0) rank = m.entries[i].rank;
    assert_true(rank > 0.3 * m.file_rank[0]);
    repo_map_fini(&m);
}

static void test_focus(void **state)
{
    (void)state;
    if (!built) skip();
    struct repo_map m;
    struct error err;
    files[1].focus = true;
    assert_int_equal(repo_map_init(&m, files, N, NULL, 0, &err), OK);
    /* From parse.c only read.c can be reached; parse.c itself is left out. */
    assert_true(m.file_rank[1] + m.file_rank[2] > 0.999);
    assert_string_equal(name_at(&m, 0), "read_all_bytes");
    for (size_t i = 0; i < m.n_entries; i++) assert_int_not_equal(m.entries[i].file, 1);
    repo_map_fini(&m);
    files[1].focus = false;
}

static void test_budget(void **state)
{
    (void)state;
    if (!built) skip();
    struct repo_map m;
    struct error err;
    struct buf out;
    size_t shown, last = 0;
    buf_init(&out, 1 << 20);
    assert_int_equal(repo_map_init(&m, files, N, NULL, 0, &err), OK);
    for (size_t budget = 0; budget < 400; budget++) {
        assert_int_equal(repo_map_print(&m, budget, count_bytes, NULL, &out, &shown), OK);
        assert_true(out.len <= budget);
        assert_true(shown >= last);
        last = shown;
    }
    assert_int_equal(last, 6);
    assert_int_equal(repo_map_print(&m, 45, count_bytes, NULL, &out, &shown), OK);
    assert_string_equal(out.data, "read.c:\n  1: int read_all_bytes(int x)\n");
    repo_map_fini(&m);
    assert_int_equal(repo_map_init(&m, NULL, 0, NULL, 0, &err), OK);
    assert_int_equal(repo_map_print(&m, 100, count_bytes, NULL, &out, &shown), OK);
    assert_int_equal(out.len, 0);
    repo_map_fini(&m);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rank), cmocka_unit_test(test_focus),
                                       cmocka_unit_test(test_budget)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
