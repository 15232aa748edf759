/* Where answers are cut. "|" in a text is the hole's place, "|" in an answer the cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "eval/cut.h"

static const struct {
    const char *prefix, *hole, *suffix, *cut, *answer;
} cases[] = {
    {"", "a = 1", "\nb = 2\n", "none", "a = 1\nb = 2\n|"},
    {"", "a = 1", "\nb = 2\n", "hole-end", "a = 1|\nb = 2\n"},
    {"", "a\nb", "\nc\n", "hole-end", "a\nx|\ny"},
    {"", "a\nb", "\nc\n", "hole-end", "a|"},
    {"f(", "x", ") + 1\n", "hole-end", "y|) + 1\nmore"},
    {"f(", "x", ") + 1\n", "hole-end", "y|\nmore"},
    {"", "a\nb", "\nc\n", "first-line", "a|\nb"},
    {"", "a", "", "first-line", "a|"},
    {"", "a", "\n\n  b\nc\n", "suffix-line", "a\nx|\n  b\nc"},
    {"", "a", "\n\n  b\nc\n", "suffix-line", "a\nb\n  bb|"},
    {"", "a", "\n\n  b\nc\n", "suffix-line", "|  b\nc"},
    {"", "a", "\n", "suffix-line", "a\nb|"},
    {"f(", "x", ") + 1\n", "suffix-line", "y|) + 1\n"},
    {"f(", "x", ") + 1\n", "suffix-line", "y) + 2|"},
    {"", "a", "\nbc\n", "suffix-overlap", "a|\nb"},
    {"", "a", "\nbc\n", "suffix-overlap", "a|\nbc\nmore"},
    {"", "a", "\nbc\n", "suffix-overlap", "ax|"},
    {"", "a", "", "suffix-overlap", "ax|"},
};

static void each(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256], answer[128];
        size_t n = strlen(cases[i].prefix), m = strlen(cases[i].hole);
        strcpy(stpcpy(stpcpy(text, cases[i].prefix), cases[i].hole), cases[i].suffix);
        struct eval_hole h = {.text = text, .start = n, .end = n + m, .to = strlen(text)};
        const char *mark = strchr(cases[i].answer, '|');
        size_t want = (size_t)(mark - cases[i].answer);
        memcpy(answer, cases[i].answer, want);
        strcpy(answer + want, mark + 1);
        int c = 0;
        while (strcmp(eval_cuts[c].name, cases[i].cut) != 0) assert_true(++c < EVAL_N_CUTS);
        size_t got = eval_cuts[c].keep(&h, answer, strlen(answer));
        if (got != want) fail_msg("case %zu: %zu bytes, not %zu", i, got, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
