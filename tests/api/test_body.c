/* Request bodies as JSON: JSONTestSuite's cases, rebuilt by kind. Each is read as it is where it is
 * an object or an array, and as a member's value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/body.h"

struct text {
    const char *data;
    size_t len;
};
#define T(s)                                                                                       \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }
#define LENGTH(a) (sizeof(a) / sizeof *(a))

/* Whether the bytes, alone or as a member's value, are taken; a copy of its own size each time. */
static json_t *read_text(struct text t, int wrapped)
{
    size_t room = t.len + 32, len = t.len;
    char *text = malloc(room);
    assert_non_null(text);
    memcpy(text, t.data, t.len);
    if (wrapped) {
        memcpy(text, "{\"x\":", 5);
        memcpy(text + 5, t.data, t.len);
        text[5 + t.len] = '}';
        len += 6;
    }
    char *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, text, len);
    json_error_t e;
    json_t *j = body_parse(exact, len, &e);
    if (!j) assert_true(e.line >= -1);
    free(exact);
    free(text);
    return j;
}

static const struct text good[] = {
    /* arrays and white space */
    T("[]"),
    T("[[]   ]"),
    T("[\"\"]"),
    T("[\"a\"]"),
    T("[false]"),
    T("[null]"),
    T("[1\n]"),
    T(" [1]"),
    T("[2] "),
    T(" [] "),
    T("[1,null,null,null,2]"),
    T("[null, 1, \"1\", {}]"),
    T("[\"a\",\n4\n,1]"),
    T("[]\n"),
    T("\t[\r\n]"),
    /* objects */
    T("{}"),
    T("{\"a\":\"b\"}"),
    T("{\"asd\":\"sdf\", \"dfg\":\"fgh\"}"),
    T("{\"a\":\"b\",\"a\":\"c\"}"),
    T("{\"a\":\"b\",\"a\":\"b\"}"),
    T("{\"\":0}"),
    T("{\"foo\\u0000bar\": 42}"),
    T("{\"\\u0000\":{\"\\u0000\":1}}"),
    T("{ \"min\": -1.0e+28, \"max\": 1.0e+28 }"),
    T("{\n\"a\": \"b\"\n}"),
    T("{\"a\":[]}"),
    T("{\"title\":\"\\u041f\\u043e\\u043b\\u0442\\u043e\\u0440\\u0430\"}"),
    /* numbers */
    T("[0]"),
    T("[-0]"),
    T("[-1]"),
    T("[-123]"),
    T("[123]"),
    T("[123.456789]"),
    T("[0e+1]"),
    T("[0e1]"),
    T("[ 4]"),
    T("[-0.0000000000000000000000000000000000000000000000000000000000000000000000000000001]\n"),
    T("[20e1]"),
    T("[1E22]"),
    T("[1E-2]"),
    T("[1E+2]"),
    T("[123e45]"),
    T("[123.456e78]"),
    T("[1e-2]"),
    T("[1e+2]"),
    /* strings */
    T("[\"\\u0060\\u012a\\u12AB\"]"),
    T("[\"\\uD801\\udc37\"]"),
    T("[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"),
    T("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
    T("[\"\\\\u0000\"]"),
    T("[\"\\\"\"]"),
    T("[\"a/*b*/c/*d//e\"]"),
    T("[\"\\\\a\"]"),
    T("[\"\\\\n\"]"),
    T("[\"\\u0012\"]"),
    T("[\"\\uFFFF\"]"),
    T("[ \"asd\"]"),
    T("[\"\\uDBFF\\uDFFF\"]"),
    T("[\"new\\u00A0line\"]"),
    T("[\"\xF4\x8F\xBF\xBF\"]"),
    T("[\"\xEF\xBF\xBF\"]"),
    T("[\"\\u0000\"]"),
    T("[\"\\u002c\"]"),
    T("[\"\xCF\x80\"]"),
    T("[\"\xF0\x9B\xBF\xBF\"]"),
    T("[\"asd \"]"),
    T("[\"\\uD834\\uDd1e\"]"),
    T("[\"\\u0821\"]"),
    T("[\"\\u0123\"]"),
    T("[\"\xE2\x80\xA8\"]"),
    T("[\"\xE2\x80\xA9\"]"),
    T("[\"\\u0061\\u30af\\u30EA\\u30b9\"]"),
    T("[\"new\\u000Aline\"]"),
    T("[\"\x7F\"]"),
    T("[\"\\uA66D\"]"),
    T("[\"\\u005C\"]"),
    T("[\"\xE2\x8D\x82\xE3\x88\xB4\xE2\x8D\x82\"]"),
    T("[\"\\u0022\"]"),
    T("[\"\\uDBFF\\uDFFE\"]"),
    T("[\"\\uD83F\\uDFFE\"]"),
    T("[\"\\u200B\"]"),
    T("[\"\\u2064\"]"),
    T("[\"\\uFDD0\"]"),
    T("[\"\\uFFFE\"]"),
    T("[\"\xE2\x82\xAC\xF0\x9D\x84\x9E\"]"),
    T("[\"a\x7F"
      "a\"]"),
};

/* Values alone: as a member only, for a body is an object. */
static const struct text scalars[] = {T("42"),    T("-0.1"),    T("null"), T("true"),
                                      T("false"), T("\"asd\""), T("\"\""), T(" 1 ")};

static const struct text bad[] = {
    /* arrays */
    T("[1 true]"),
    T("[a\xE5]"),
    T("[\"\": 1]"),
    T("[\"\"],"),
    T("[,1]"),
    T("[1,,2]"),
    T("[\"x\",,]"),
    T("[\"x\"]]"),
    T("[\"\",]"),
    T("[\"x\""),
    T("[x"),
    T("[3[4]]"),
    T("[\xFF]"),
    T("[1:2]"),
    T("[,]"),
    T("[-]"),
    T("[   , \"\"]"),
    T("[\"a\",\n4\n,1,"),
    T("[1,]"),
    T("[1,,]"),
    T("[\"\va\"\\f]"),
    T("[*]"),
    T("[\"\""),
    T("[1,"),
    T("[1,\n1\n,1"),
    T("[{}"),
    T("["),
    T("[1"),
    T("]"),
    T("[]]"),
    T("[][]"),
    T("[1]x"),
    T("[\"asd]"),
    T("[1\\u000A\"\"]"),
    T("[][2]"),
    /* words */
    T("[fals]"),
    T("[nul]"),
    T("[tru]"),
    T("[True]"),
    T("[TRUE]"),
    T("[Null]"),
    T("[truth]"),
    T("nul"),
    T("tru"),
    T("fals"),
    T("[NaN]"),
    T("[nan]"),
    T("[Infinity]"),
    T("[-Infinity]"),
    T("[Inf]"),
    T("[-NaN]"),
    T("[undefined]"),
    T("*"),
    T("a\xE5"),
    /* numbers */
    T("[++1234]"),
    T("[+1]"),
    T("[+Inf]"),
    T("[-01]"),
    T("[-1.0.]"),
    T("[-2.]"),
    T("[.-1]"),
    T("[.2e-3]"),
    T("[0.1.2]"),
    T("[0.3e+]"),
    T("[0.3e]"),
    T("[0.e1]"),
    T("[0E+]"),
    T("[0E]"),
    T("[0e+]"),
    T("[0e]"),
    T("[1.0e+]"),
    T("[1.0e-]"),
    T("[1.0e]"),
    T("[1 000.0]"),
    T("[1eE2]"),
    T("[2.e+3]"),
    T("[2.e-3]"),
    T("[2.e3]"),
    T("[9.e+]"),
    T("[1+2]"),
    T("[0x1]"),
    T("[0x42]"),
    T("[0e+-1]"),
    T("[-foo]"),
    T("[- 1]"),
    T("[-012]"),
    T("[-.123]"),
    T("[-1x]"),
    T("[1ea]"),
    T("[1e\xE5]"),
    T("[1.]"),
    T("[.123]"),
    T("[1.2a-3]"),
    T("[1.8011670033376514H-308]"),
    T("[012]"),
    T("[1a]"),
    T("[123\xE5]"),
    T("[0\xE5]"),
    T("[\xEF\xBC\x91]"),
    T("[0 1]"),
    T("[1 2]"),
    T("123\0"),
    T("[1,\0]"),
    T("[1\0]"),
    T("1]"),
    T("00"),
    T("1e"),
    T("-"),
    /* objects */
    T("[\"x\", truth]"),
    T("{[: \"x\"}"),
    T("{\"x\", null}"),
    T("{\"x\"::\"b\"}"),
    T("{\xF0\x9F\x87\xA8\xF0\x9F\x87\xAD}"),
    T("{\"a\":\"a\" 123}"),
    T("{key: 'value'}"),
    T("{\"\xB9\":\"0\",}"),
    T("{\"a\" b}"),
    T("{:\"b\"}"),
    T("{\"a\" \"b\"}"),
    T("{\"a\":"),
    T("{\"a\""),
    T("{1:1}"),
    T("{9999E9999:1}"),
    T("{null:null,null:null}"),
    T("{\"id\":0,,,,,}"),
    T("{'a':0}"),
    T("{\"id\":0,}"),
    T("{\"a\":\"b\"}/**/"),
    T("{\"a\":\"b\"}/**//"),
    T("{\"a\":\"b\"}//"),
    T("{\"a\":\"b\"}/"),
    T("{\"a\":\"b\",,\"c\":\"d\"}"),
    T("{a: \"b\"}"),
    T("{\"a\":\"a"),
    T("{ \"foo\" : \"bar\", \"a\" }"),
    T("{\"a\":\"b\"}#"),
    T("{"),
    T("{}}"),
    T("{\"\":"),
    T("{\"a\": true} \"x\""),
    T("{]"),
    T("{,"),
    T("{["),
    T("{\"a"),
    T("{'a'"),
    T("{\"a\":/*comment*/\"b\"}"),
    T("{\"asd\":\"asd\""),
    T("{\"a\":\"b\"},"),
    T("{\"a\":\"b\"}{}"),
    T("{\"a\"=1}"),
    /* strings */
    T("[\"\\uD800\\\"]"),
    T("[\"\\uD800\\u\"]"),
    T("[\"\\uD800\\u1\"]"),
    T("[\"\\uD800\\u1x\"]"),
    T("[\xC3\xA9]"),
    T("[\"\\\0\"]"),
    T("[\"\\x00\"]"),
    T("[\"\\\\\\\"]"),
    T("[\"\\\t\"]"),
    T("[\"\\\xF0\x9F\x8C\x80\"]"),
    T("[\"\\\"]"),
    T("[\"\\u00A\"]"),
    T("[\"\\uD834\\uDd\"]"),
    T("[\"\\uD800\\uD800\\x\"]"),
    T("[\"\\u\xE5\"]"),
    T("[\"\\a\"]"),
    T("[\"\\uqqqq\"]"),
    T("[\"\\\xE5\"]"),
    T("[\\u0020\"asd\"]"),
    T("[\\n]"),
    T("\""),
    T("['single quote']"),
    T("abc"),
    T("[\"\\"),
    T("[\"a\0a\"]"),
    T("[\"new\nline\"]"),
    T("[\"\t\"]"),
    T("[\"\x1F\"]"),
    T("\"\\UA66D\""),
    T("\"\"x"),
    T("['"),
    T("['a"),
    T("[\"\xED\xA0\x80\"]"),
    T("[\"\xC0\xAF\"]"),
    T("[\"\xE6\x97\xA5\xD1\x88\xFA\"]"),
    T("[\"\\uDADA\"]"),
    T("[\"\\uDd1e\\uD834\"]"),
    T("[\"\x80\"]"),
    T("[\"\xF4\xBF\xBF\xBF\"]"),
    /* the whole */
    T(""),
    T(" "),
    T("<.>"),
    T("[<null>]"),
    T("\xEF\xBB\xBF"),
    T("\xEF\xBB\xBF{}"),
    T("\xEF\xBB"),
    T("\xE5"),
    T("[\xE2\x81\xA0]"),
    T("\xE2\x81\xA0"),
    T("[\f]"),
    T("[\v]"),
    T("[\xC2\xA0]"),
    T("[\"a\"]\xE5"),
    T("2@"),
    T("@"),
    T("{}}\n"),
    T("[#]"),
    T("[1]//"),
    T("\0"),
    T("{}\0"),
    T("\xFE\xFF\0[\0]"),
    T("[\0]\0"),
    T("[\x5C]"),
};

static void takes_all_that_json_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(good) + LENGTH(scalars); i++) {
        bool scalar = i >= LENGTH(good);
        struct text t = scalar ? scalars[i - LENGTH(good)] : good[i];
        for (int wrapped = scalar; wrapped < 2; wrapped++) {
            json_t *j = read_text(t, wrapped);
            if (!j) fail_msg("case %zu is refused: %s", i, t.data);
            json_decref(j);
        }
    }
}

static void refuses_all_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(bad) + LENGTH(scalars); i++) {
        bool scalar = i >= LENGTH(bad);
        struct text t = scalar ? scalars[i - LENGTH(bad)] : bad[i];
        for (int wrapped = 0; wrapped < (scalar ? 1 : 2); wrapped++) {
            json_t *j = read_text(t, wrapped);
            if (j) fail_msg("case %zu is taken: %s", i, t.data);
        }
    }
}

static void refuses_depths(void **state)
{
    (void)state;
    static const char *const open[] = {"[", "{\"\":", "[{\"\":"};
    for (size_t k = 0; k < LENGTH(open); k++) {
        size_t n = strlen(open[k]), len = 100000 * n;
        char *text = malloc(len);
        assert_non_null(text);
        for (size_t i = 0; i < len; i++) text[i] = open[k][i % n];
        assert_null(read_text((struct text){text, len}, 0));
        free(text);
    }
    char deep[1001];
    memset(deep, '[', 500);
    memset(deep + 500, ']', 500);
    json_t *j = read_text((struct text){deep, 1000}, 1);
    assert_non_null(j);
    json_decref(j);
}

static void keeps_nuls_in_values_and_replaces_them_in_names(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\\u0000b\":\"c\\u0000d\",\"\\\\u0000\":[\"\\u0000\",{\"\\\"\\u0000\" : 1}],\"e\":2}";
    json_error_t e;
    json_t *j = body_parse(text, sizeof text - 1, &e);
    assert_non_null(j);
    json_t *v = json_object_get(j, "a\xEF\xBF\xBD"
                                   "b");
    assert_int_equal(json_string_length(v), 3);
    assert_memory_equal(json_string_value(v), "c\0d", 3);
    json_t *list = json_object_get(j, "\\u0000"); /* an escaped backslash, no NUL */
    assert_int_equal(json_string_length(json_array_get(list, 0)), 1);
    assert_non_null(json_object_get(json_array_get(list, 1), "\"\xEF\xBF\xBD"));
    assert_int_equal(json_integer_value(json_object_get(j, "e")), 2);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_all_that_json_is),
        cmocka_unit_test(refuses_all_else),
        cmocka_unit_test(refuses_depths),
        cmocka_unit_test(keeps_nuls_in_values_and_replaces_them_in_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
