/* What open files define, as far as a prompt wants it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assist/outline.h"
#include "syntax/language.h"

static struct outline *open_outline(void)
{
    struct outline *o;
    struct error err;
    assert_int_equal(outline_create(&o, &err), OK);
    return o;
}

static void put(struct outline *o, const char *path, const char *text)
{
    outline_put(o, path, outline_read(path, text, strlen(text)));
}

static const char shapes[] = "class Shape:\n"
                             "    def area(self, scale):\n"
                             "        return 0\n"
                             "\n"
                             "\n"
                             "def make_circle(radius, name=None):\n"
                             "    return Shape()\n"
                             "\n"
                             "\n"
                             "def unused(a):\n"
                             "    return a\n";

/* "|" is the cursor. */
static size_t items(struct outline *o, const char *path, const char *text, struct context_item *out)
{
    char whole[512];
    const char *at = strchr(text, '|');
    size_t offset = (size_t)(at - text);
    memcpy(whole, text, offset);
    strcpy(whole + offset, at + 1);
    return outline_items(o, path, whole, strlen(whole), offset, 200, out, OUTLINE_ITEMS);
}

static bool holds(const struct context_item *item, const char *words)
{
    return memmem(item->text, item->len, words, strlen(words)) != NULL;
}

static void what_is_named_near_the_cursor_is_told(void **state)
{
    (void)state;
    struct outline *o = open_outline();
    struct context_item got[OUTLINE_ITEMS];
    put(o, "lib/shapes.py", shapes);
    put(o, "other.py", "def elsewhere():\n    pass\n");
    assert_int_equal(items(o, "main.py", "c = make_circle(|\n", got), 1);
    assert_string_equal(got[0].path, "lib/shapes.py");
    assert_int_equal(got[0].kind, CONTEXT_SIGNATURE);
    assert_true(holds(&got[0], "make_circle(radius, name=None)"));
    assert_false(holds(&got[0], "unused"));
    /* Its own file has it already; part of a word is not the word. */
    assert_int_equal(items(o, "lib/shapes.py", "c = make_circle(|\n", got), 0);
    assert_int_equal(items(o, "main.py", "make_circles|\n", got), 0);
    outline_destroy(o);
}

static void what_an_imported_file_offers_is_told(void **state)
{
    (void)state;
    struct outline *o = open_outline();
    struct context_item got[OUTLINE_ITEMS];
    put(o, "lib/shapes.py", shapes);
    assert_int_equal(items(o, "main.py", "from lib.shapes import *\n\n|\n", got), 1);
    assert_true(holds(&got[0], "unused(a)") && holds(&got[0], "class Shape"));
    assert_false(holds(&got[0], "area")); /* a method nobody names */
    assert_int_equal(items(o, "main.py", "x = 'lib shapes'\n\n|\n", got), 0);
    /* The file named most comes last, nearest to the text. */
    put(o, "aaa.py", "def area_of(b):\n    pass\n");
    assert_int_equal(items(o, "main.py", "import aaa\nunused(make_circle(|\n", got), 2);
    assert_string_equal(got[1].path, "lib/shapes.py");
    outline_destroy(o);
}

static void files_change_and_go(void **state)
{
    (void)state;
    struct outline *o = open_outline();
    struct context_item got[OUTLINE_ITEMS];
    put(o, "a.py", "def first_one(a):\n    pass\n");
    put(o, "a.py", "def first_one(a, b):\n    pass\n");
    assert_int_equal(items(o, "m.py", "first_one(|", got), 1);
    assert_true(holds(&got[0], "first_one(a, b)"));
    outline_put(o, "a.py", NULL);
    assert_int_equal(items(o, "m.py", "first_one(|", got), 0);
    for (int i = 0; i < 2 * OUTLINE_FILES; i++) {
        char path[16] = {(char)('a' + i / 26), (char)('a' + i % 26), '.', 'p', 'y', 0};
        put(o, path, "def first_one(a):\n    pass\n");
    }
    assert_int_equal(items(o, "m.py", "first_one(|", got), OUTLINE_ITEMS);
    assert_null(outline_read("notes.txt", "first_one", 9));
    outline_destroy(o);
}

int main(void)
{
    if (!syntax_language_has_grammar(syntax_language_find("python", 6))) return 77; /* skipped */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_named_near_the_cursor_is_told),
        cmocka_unit_test(what_an_imported_file_offers_is_told),
        cmocka_unit_test(files_change_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
