/* Pieces of each family of pre-tokenizers, and time that grows no faster than the text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "text/pretok.h"

/* Pieces separated by '|'. */
static const struct {
    const char *family, *text, *pieces;
} cases[] = {
    {"gpt-2", "I've 12 foos!!  x\n\n y", "I|'ve| 12| foos|!!| | x|\n\n| y"},
    {"gpt-2", "\tint a;  \n", "\t|int| a|;|  \n"},
    {"gpt-2", "I'VE", "I|'|VE"},
    {"mpt", "x12y", "x|12|y"},
    {"starcoder", "x = 123;", "x| =| |1|2|3|;"},
    {"smollm", "a1 b22", "a|1| b|2|2"},
    {"qwen2", "I'VE got 12\n\n  x=1;\r\ny", "I|'VE| got| |1|2|\n\n| | x|=|1|;\r\n|y"},
    {"qwen2", "(foo) .bar", "(foo|)| .|bar"},
    {"qwen2", "a\t\tb   ", "a|\t|\tb|   "},
    {"llama-bpe", "12345 ab", "123|45| ab"},
    {"deepseek-coder", "int x = 10;\n", "int| x| = |1|0|;|\n"},
    {"deepseek-coder", "a \u4E2D\u6587b", "a| |\u4E2D\u6587|b"},
    {"deepseek-llm", "abc 123, d\n  ", "abc| |123|,| d|\n|  "},
    {"deepseek-llm", "a   \u4E2D", "a|   |\u4E2D"},
    {"deepseek-v3", "abc12345 (x)", "abc|123|45| (|x|)"},
    {"falcon", "x1234=='a'", "x|123|4|=='|a|'"},
    {"command-r", "9 8", "9| |8"},
    {"default", "a+=12345", "a|+=|123|45"},
    {"tekken", "FooBar 12", "Foo|Bar| |1|2"},
    {"gpt-4o", "don't FOOBar", "don't| FOOBar"},
    {"qwen35", "e\u0301a\u0301 x", "e\u0301a\u0301| x"},
    {"qwen2", "e\u0301a", "e|\u0301a"},
    {"bloom", "a, b(c)", "a|,| b|(|c|)"},
    {"gemma4", "a b\n\nc\n", "a b|\n\n|c|\n"},
    {"gpt-2", "a\xFF\xFE!\xC3", "a|\xFF\xFE!\xC3"},
    {"qwen2", "\xFFword \xE4\xB8", "\xFFword| \xE4\xB8"},
    {"gpt-2", "a\u180Eb\u2003c", "a|\u180E|b|\u2003|c"},
};

static void join(const char *text, const struct piece_list *l, char *dst, size_t cap)
{
    size_t n = 0, begin = 0;
    for (size_t i = 0; i < l->len; begin = l->ends[i++])
        n += (size_t)snprintf(dst + n, cap - n, "%s%.*s", i ? "|" : "", (int)(l->ends[i] - begin),
                              text + begin);
}

static void pieces(void **jit)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pretok *p;
        struct error err = {0};
        struct piece_list l = {0};
        char got[200] = "";
        if (pretok_create(pretok_find(cases[i].family), *(const bool *)*jit, &p, &err))
            fail_msg("%s", err.msg);
        assert_int_equal(pretok_split(p, cases[i].text, strlen(cases[i].text), &l, &err), OK);
        join(cases[i].text, &l, got, sizeof got);
        if (strcmp(got, cases[i].pieces) != 0)
            fail_msg("%s: '%s' instead of '%s'", cases[i].family, got, cases[i].pieces);
        piece_list_fini(&l);
        pretok_destroy(p);
    }
}

static void registry(void **unused)
{
    (void)unused;
    size_t n = 0;
    const struct pretok_family *f;
    for (; (f = pretok_at(n)); n++) assert_ptr_equal(pretok_find(f->name), f);
    assert_true(n > 50);
    assert_null(pretok_find("qwen"));
    assert_ptr_equal(pretok_find(NULL), pretok_find("default"));
    assert_ptr_equal(pretok_find(""), pretok_find("default"));
    assert_true(pretok_find("llama-bpe")->ignore_merges);
    assert_false(pretok_find("qwen2")->ignore_merges);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const char *const units[] = {
    "a", "A", " ", "\n", "\t", "1", "!", "'", "\xFF", "\xE4", "\u4E2D", "\u0301", "\u3000", "aA",
    "a ", "  a", " \n", "\r", "ab1 ", "<|", "\u00C0\u0301", "\U0001F680", " 1", "/",
};

static void check_time(const struct pretok *p, const char *family, const char *unit,
                       const char *tail, char *text, size_t size, struct piece_list *l)
{
    struct error err = {0};
    size_t n = 0;
    for (size_t step = strlen(unit); n + step <= size; n += step) memcpy(text + n, unit, step);
    memcpy(text + n, tail, strlen(tail));
    n += strlen(tail);
    double start = cpu_seconds();
    if (pretok_split(p, text, n, l, &err)) fail_msg("%s, '%s...%s': %s", family, unit, tail, err.msg);
    double took = cpu_seconds() - start;
    assert_int_equal(l->ends[l->len - 1], n);
    if (took > 1.5) fail_msg("%s took %.1f s on '%s...%s'", family, took, unit, tail);
}

/* Every family on 32 KiB of one unit with something else behind it that a long match could run into;
 * white space, which every expression looks at, with each of the tails. An expression that looks at
 * the text once for each of its characters would need 10^9 steps. */
static void linear_time(void **jit)
{
    static const char *const tails[] = {"", "x", "\u4E2D", "\n", " ", "\xFF"};
    enum { SIZE = 32 * 1024, N_TAILS = sizeof tails / sizeof tails[0] };
    char *text = malloc(SIZE + 8);
    struct piece_list l = {0};
    const struct pretok_family *f;
    for (size_t i = 0; (f = pretok_at(i)); i++) {
        struct pretok *p;
        struct error err = {0};
        assert_int_equal(pretok_create(f, *(const bool *)*jit, &p, &err), OK);
        for (size_t u = 0; u < sizeof units / sizeof units[0]; u++)
            for (size_t k = 0; k < (*units[u] == ' ' ? N_TAILS : 1); k++)
                check_time(p, f->name, units[u], tails[(i + u + k) % N_TAILS], text, SIZE, &l);
        pretok_destroy(p);
    }
    piece_list_fini(&l);
    free(text);
}

int main(void)
{
    static bool yes = true, no = false;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(pieces, &yes),      cmocka_unit_test_prestate(pieces, &no),
        cmocka_unit_test(registry),                   cmocka_unit_test_prestate(linear_time, &yes),
        cmocka_unit_test_prestate(linear_time, &no),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
