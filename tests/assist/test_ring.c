/* The ring of context: what joins it, what it replaces, what a prompt gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assist/ring.h"

static struct ring *new_ring(size_t chunks, size_t lines)
{
    struct ring *r;
    struct error err = {0};
    struct ring_options opt = {.chunks = chunks, .chunk_lines = lines};
    assert_int_equal(ring_create(&opt, &r, &err), OK);
    return r;
}

/* n lines "NAME i", counted from `first`. */
static char *lines(const char *name, int first, int n)
{
    char *s = calloc((size_t)n + 1, 40);
    assert_non_null(s);
    for (int i = 0; i < n; i++) sprintf(s + strlen(s), "%s %d\n", name, first + i);
    return s;
}

static void note(struct ring *r, enum ring_event e, const char *path, char *text, size_t line)
{
    assert_int_equal(ring_note(r, e, path, text, strlen(text), line), OK);
    free(text);
}

static void measures_likeness_by_lines(void **state)
{
    (void)state;
    assert_true(ring_similarity("a\nb\n", 4, "  b\na", 5) == 1);
    assert_true(ring_similarity("a\nb\n", 4, "c\n\n", 3) == 0);
    assert_true(ring_similarity("", 0, "", 0) == 0);
    double d = ring_similarity("a\nb\nc\nd\n", 8, "a\nb\nc\ne\n", 8);
    assert_true(d == 0.75);
}

static void chunks_wait_until_they_join(void **state)
{
    (void)state;
    struct ring *r = new_ring(4, 8);
    struct context_item it[8];
    note(r, RING_OPENED, "a.c", lines("a", 0, 100), 40);
    assert_int_equal(ring_size(r), 0);
    assert_int_equal(ring_waiting(r), 1);
    assert_int_equal(ring_items(r, "b.c", "", 0, it, 8), 0);
    assert_true(ring_join(r));
    assert_false(ring_join(r));
    assert_int_equal(ring_items(r, "b.c", "", 0, it, 8), 1);
    assert_string_equal(it[0].path, "a.c");
    /* A quarter of the chunk stands above the line. */
    assert_string_equal(it[0].text, "a 38\na 39\na 40\na 41\na 42\na 43\na 44\na 45\n");
    ring_destroy(r);
}

static void a_like_chunk_replaces_the_old_one(void **state)
{
    (void)state;
    struct ring *r = new_ring(4, 64);
    struct context_item it[8];
    note(r, RING_OPENED, "a.c", lines("a", 0, 40), 0);
    assert_true(ring_join(r));
    note(r, RING_OPENED, "b.c", lines("b", 0, 40), 0);
    assert_true(ring_join(r));
    note(r, RING_SAVED, "a.c", lines("a", 1, 40), 0); /* 39 of 40 lines are the same */
    assert_true(ring_join(r));
    assert_int_equal(ring_size(r), 2);
    assert_int_equal(ring_items(r, "c.c", "", 0, it, 8), 2);
    assert_string_equal(it[1].path, "a.c"); /* the newest comes last */
    assert_memory_equal(it[1].text, "a 1\n", 4);
    note(r, RING_SAVED, "a.c", lines("a", 1, 40), 0); /* nothing new */
    assert_int_equal(ring_waiting(r), 0);
    ring_destroy(r);
}

static void the_oldest_goes_first(void **state)
{
    (void)state;
    struct ring *r = new_ring(3, 64);
    struct context_item it[8];
    for (int i = 0; i < 5; i++) {
        char name[8];
        sprintf(name, "f%d", i);
        note(r, RING_EDITED, name, lines(name, 0, 10), 0);
        assert_true(ring_join(r));
    }
    assert_int_equal(ring_items(r, "x", "", 0, it, 8), 3);
    assert_string_equal(it[0].path, "f2");
    assert_string_equal(it[2].path, "f4");
    ring_forget(r, "f3");
    assert_int_equal(ring_items(r, "x", "", 0, it, 8), 2);
    ring_destroy(r);
}

static void the_cursors_own_text_is_left_out(void **state)
{
    (void)state;
    struct ring *r = new_ring(4, 16);
    struct context_item it[8];
    note(r, RING_EDITED, "a.c", lines("a", 0, 200), 100);
    assert_true(ring_join(r));
    char *near = lines("a", 90, 30), *far = lines("a", 0, 30);
    assert_int_equal(ring_items(r, "a.c", near, strlen(near), it, 8), 0);
    assert_int_equal(ring_items(r, "a.c", far, strlen(far), it, 8), 1);
    free(near);
    free(far);
    ring_destroy(r);
}

static void passes_over_what_is_too_short(void **state)
{
    (void)state;
    struct ring *r = new_ring(4, 16);
    note(r, RING_OPENED, "a", strdup("x\ny\n"), 0);
    note(r, RING_OPENED, "a", strdup("\n\n\n\n"), 0);
    note(r, RING_OPENED, "a", strdup(""), 5);
    assert_int_equal(ring_waiting(r), 0);
    note(r, RING_YANKED, NULL, strdup("x\n"), 7); /* short, but chosen by hand */
    assert_int_equal(ring_waiting(r), 1);
    ring_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_likeness_by_lines),
        cmocka_unit_test(chunks_wait_until_they_join),
        cmocka_unit_test(a_like_chunk_replaces_the_old_one),
        cmocka_unit_test(the_oldest_goes_first),
        cmocka_unit_test(the_cursors_own_text_is_left_out),
        cmocka_unit_test(passes_over_what_is_too_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
