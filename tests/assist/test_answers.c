/* The cache of completions: found again while typing along, by place, least recently used first
 * out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assist/answers.h"

static struct answer_place at(const char *path, const char *prefix, const char *suffix)
{
    return (struct answer_place){path, 0, prefix, strlen(prefix), suffix, strlen(suffix)};
}

static void put(struct answers *a, const char *prefix, const char *text)
{
    struct answer_place p = at("f", prefix, "\nend");
    assert_int_equal(answers_put(a, &p, text, strlen(text), false), OK);
}

/* What is found, "(none)" for nothing. */
static const char *get(struct answers *a, const char *path, const char *prefix, const char *suffix)
{
    static char text[64];
    struct answer found;
    struct answer_place p = at(path, prefix, suffix);
    if (!answers_find(a, &p, &found)) return "(none)";
    snprintf(text, sizeof text, "%.*s", (int)found.len, found.text);
    return text;
}

static struct answers *new_answers(size_t max)
{
    struct answers *a;
    struct error err = {0};
    assert_int_equal(answers_create(max, &a, &err), OK);
    return a;
}

static void serves_what_is_left_while_typing_along(void **state)
{
    (void)state;
    struct answers *a = new_answers(10);
    put(a, "x = ", "foo(\xC3\xA9, b)");
    assert_string_equal(get(a, "f", "x = ", "\nend"), "foo(\xC3\xA9, b)");
    assert_string_equal(get(a, "f", "x = fo", "\nend"), "o(\xC3\xA9, b)");
    assert_string_equal(get(a, "f", "x = foo(\xC3\xA9", "\nend"), ", b)");
    assert_string_equal(get(a, "f", "x = foo(\xC3\xA9, b)", "\nend"), "(none)");
    assert_string_equal(get(a, "f", "x = fa", "\nend"), "(none)");
    assert_string_equal(get(a, "f", "y = fo", "\nend"), "(none)");
    assert_string_equal(get(a, "f", "x = fo", "\nother"), "(none)");
    assert_string_equal(get(a, "g", "x = fo", "\nend"), "(none)");
    assert_string_equal(get(a, NULL, "x = fo", "\nend"), "(none)");
    answers_destroy(a);
}

static void an_empty_answer_is_an_answer(void **state)
{
    (void)state;
    struct answers *a = new_answers(10);
    put(a, "done", "");
    assert_string_equal(get(a, "f", "done", "\nend"), "");
    assert_string_equal(get(a, "f", "done.", "\nend"), "(none)");
    answers_destroy(a);
}

static void keeps_the_recently_used_ones(void **state)
{
    (void)state;
    struct answers *a = new_answers(3);
    put(a, "1", "one");
    put(a, "2", "two");
    put(a, "3", "three");
    assert_string_equal(get(a, "f", "1", "\nend"), "one");
    put(a, "4", "four");
    assert_int_equal(answers_count(a), 3);
    assert_string_equal(get(a, "f", "2", "\nend"), "(none)");
    assert_string_equal(get(a, "f", "1", "\nend"), "one");
    put(a, "1", "uno"); /* replaced, not added */
    assert_string_equal(get(a, "f", "1", "\nend"), "uno");
    assert_int_equal(answers_count(a), 3);
    answers_destroy(a);
}

static void looks_back_over_a_bounded_number_of_characters(void **state)
{
    (void)state;
    struct answers *a = new_answers(3);
    char text[400], prefix[400];
    memset(text, 'x', 300);
    text[300] = 0;
    put(a, "p", text);
    memset(prefix, 'x', sizeof prefix);
    prefix[0] = 'p';
    prefix[1 + ANSWERS_TYPED] = 0;
    struct answer found;
    struct answer_place p = at("f", prefix, "\nend");
    assert_true(answers_find(a, &p, &found));
    assert_int_equal(found.typed, ANSWERS_TYPED);
    assert_int_equal(found.len, 300 - ANSWERS_TYPED);
    prefix[1 + ANSWERS_TYPED] = 'x';
    prefix[2 + ANSWERS_TYPED] = 0;
    p = at("f", prefix, "\nend");
    assert_false(answers_find(a, &p, &found));
    answers_destroy(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_what_is_left_while_typing_along),
        cmocka_unit_test(an_empty_answer_is_an_answer),
        cmocka_unit_test(keeps_the_recently_used_ones),
        cmocka_unit_test(looks_back_over_a_bounded_number_of_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
