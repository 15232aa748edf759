/* Members of a request: their types, ranges, and what an error says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/read.h"

static json_t *doc;

static struct reader reader_of(const char *text)
{
    json_decref(doc);
    doc = json_loads(text, JSON_ALLOW_NUL, NULL);
    assert_non_null(doc);
    return (struct reader){.obj = doc};
}

static void takes_what_fits(void **state)
{
    (void)state;
    struct reader r = reader_of("{\"i\": 5, \"j\": 7.0, \"f\": 0.5, \"g\": 2, \"b\": true, \"s\": "
                                "\"a\\u0000b\", \"n\": null, "
                                "\"a\": [1], \"o\": {}}");
    int64_t i = 0, j = 0, absent = 3;
    float f = 0, g = 0;
    bool b = false;
    const char *s = NULL;
    size_t len = 0;
    read_int(&r, "i", 0, 9, &i);
    read_int(&r, "j", 0, 9, &j);
    read_int(&r, "n", 0, 9, &absent);
    read_int(&r, "none", 0, 9, &absent);
    read_float(&r, "f", 0, 1, &f);
    read_float(&r, "g", 0, 2, &g);
    read_bool(&r, "b", &b);
    read_string(&r, "s", &s, &len);
    assert_true(i == 5 && j == 7 && absent == 3 && f == 0.5f && g == 2 && b && len == 3);
    assert_non_null(read_array(&r, "a", 1));
    assert_non_null(read_object(&r, "o"));
    assert_null(read_any(&r, "n"));
    assert_int_equal(r.err.code, OK);
}

static void names_what_does_not(void **state)
{
    (void)state;
    static const char *const texts[] = {"{\"x\": 10}",    "{\"x\": -1}",    "{\"x\": 1.5}",
                                        "{\"x\": \"5\"}", "{\"x\": []}",    "{\"x\": true}",
                                        "{\"x\": 1e300}", "{\"x\": -1e300}"};
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        struct reader r = reader_of(texts[k]);
        int64_t i = 4;
        read_int(&r, "x", 0, 9, &i);
        assert_int_equal(r.err.code, ERR_INVALID);
        assert_non_null(strstr(r.err.msg, "'x' must be a whole number from 0 to 9"));
        assert_int_equal(i, 4);
    }
    struct reader r =
        reader_of("{\"f\": 1.5, \"s\": \"a\\u0000b\", \"a\": [1, 2], \"b\": 1, \"o\": []}");
    float f = 0;
    read_float(&r, "f", 0, 1, &f);
    assert_int_equal(r.err.code, ERR_INVALID);
    /* The first error stays, and the rest is not read. */
    assert_null(read_array(&r, "a", 9));
    assert_non_null(strstr(r.err.msg, "'f'"));
    const char *s = NULL;
    bool b = false;
    r.err.code = OK;
    read_string(&r, "s", &s, NULL);
    assert_true(r.err.code == ERR_INVALID && !s);
    r.err.code = OK;
    assert_null(read_array(&r, "a", 1));
    assert_int_equal(r.err.code, ERR_INVALID);
    r.err.code = OK;
    read_bool(&r, "b", &b);
    assert_true(r.err.code == ERR_INVALID && !b);
    r.err.code = OK;
    assert_null(read_object(&r, "o"));
    assert_int_equal(r.err.code, ERR_INVALID);
    json_decref(doc);
    doc = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_fits),
        cmocka_unit_test(names_what_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
