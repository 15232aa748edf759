/* What can stand behind "is". */
#include <string.h>

#include "text/jinja_families.h"

#define TEST(name, condition)                                                                      \
    static struct jinja_value name(JINJA_FUNCTION_ARGS)                                            \
    {                                                                                              \
        JINJA_UNUSED;                                                                              \
        return jinja_bool(condition);                                                              \
    }

static bool sequence(struct jinja_value x)
{
    return x.kind == JINJA_STR || x.kind == JINJA_DICT || (x.kind == JINJA_LIST && x.list->form <= FORM_RANGE);
}

static bool callable(struct jinja_value x)
{
    return x.kind == JINJA_MACRO || x.kind == JINJA_FUNCTION || x.kind == JINJA_METHOD || x.kind == JINJA_LOOP;
}

/* Letters of one case, and at least one of them. */
static bool has_case(struct jinja *in, struct jinja_value x, enum jinja_case how)
{
    struct jinja_value s = jinja_to_str(in, x);
    enum jinja_case other = how == CASE_UPPER ? CASE_LOWER : CASE_UPPER;
    return jinja_equal(in, jinja_case(in, s, how), s) && !jinja_equal(in, jinja_case(in, s, other), s);
}

static bool remainder_is(struct jinja *in, struct jinja_value x, struct jinja_value by, int64_t want)
{
    return jinja_equal(in, jinja_binary(in, OP_MOD, x, by), jinja_int(want));
}

static bool same(struct jinja_value a, struct jinja_value b)
{
    if (a.kind != b.kind) return false;
    if (a.kind == JINJA_NONE || a.kind == JINJA_UNDEFINED) return true;
    if (a.kind == JINJA_BOOL) return a.b == b.b;
    return a.s == b.s && (a.kind != JINJA_STR || a.len == b.len);
}

TEST(t_defined, x.kind != JINJA_UNDEFINED)
TEST(t_undefined, x.kind == JINJA_UNDEFINED)
TEST(t_none, x.kind == JINJA_NONE)
TEST(t_boolean, x.kind == JINJA_BOOL)
TEST(t_true, x.kind == JINJA_BOOL && x.b)
TEST(t_false, x.kind == JINJA_BOOL && !x.b)
TEST(t_integer, x.kind == JINJA_INT)
TEST(t_float, x.kind == JINJA_FLOAT)
TEST(t_number, jinja_is_number(x))
TEST(t_string, x.kind == JINJA_STR)
TEST(t_mapping, x.kind == JINJA_DICT)
TEST(t_sequence, sequence(x))
TEST(t_iterable, x.kind == JINJA_LIST || x.kind == JINJA_UNDEFINED || sequence(x))
TEST(t_callable, callable(x))
TEST(t_escaped, x.kind == JINJA_STR && x.safe)
TEST(t_upper, has_case(in, x, CASE_UPPER))
TEST(t_lower, has_case(in, x, CASE_LOWER))
TEST(t_even, remainder_is(in, x, jinja_int(2), 0))
TEST(t_odd, remainder_is(in, x, jinja_int(2), 1))
TEST(t_divisibleby, remainder_is(in, x, a[0], 0))
TEST(t_sameas, same(x, a[0]))
TEST(t_eq, jinja_compare(in, OP_EQ, x, a[0]))
TEST(t_ne, jinja_compare(in, OP_NE, x, a[0]))
TEST(t_lt, jinja_compare(in, OP_LT, x, a[0]))
TEST(t_le, jinja_compare(in, OP_LE, x, a[0]))
TEST(t_gt, jinja_compare(in, OP_GT, x, a[0]))
TEST(t_ge, jinja_compare(in, OP_GE, x, a[0]))
TEST(t_in, jinja_contains(in, a[0], x))
TEST(t_filter, x.kind == JINJA_STR && jinja_filter_find(x.s, x.len))
TEST(t_test, x.kind == JINJA_STR && jinja_test_find(x.s, x.len))

const struct jinja_function jinja_tests[] = {
    {"defined", t_defined, ""},
    {"undefined", t_undefined, ""},
    {"none", t_none, ""},
    {"boolean", t_boolean, ""},
    {"true", t_true, ""},
    {"false", t_false, ""},
    {"integer", t_integer, ""},
    {"float", t_float, ""},
    {"number", t_number, ""},
    {"string", t_string, ""},
    {"mapping", t_mapping, ""},
    {"sequence", t_sequence, ""},
    {"iterable", t_iterable, ""},
    {"callable", t_callable, ""},
    {"escaped", t_escaped, ""},
    {"upper", t_upper, ""},
    {"lower", t_lower, ""},
    {"even", t_even, ""},
    {"odd", t_odd, ""},
    {"divisibleby", t_divisibleby, "num!"},
    {"sameas", t_sameas, "other!"},
    {"eq", t_eq, "b!"},
    {"equalto", t_eq, "b!"},
    {"==", t_eq, "b!"},
    {"ne", t_ne, "b!"},
    {"!=", t_ne, "b!"},
    {"lt", t_lt, "b!"},
    {"lessthan", t_lt, "b!"},
    {"<", t_lt, "b!"},
    {"le", t_le, "b!"},
    {"<=", t_le, "b!"},
    {"gt", t_gt, "b!"},
    {"greaterthan", t_gt, "b!"},
    {">", t_gt, "b!"},
    {"ge", t_ge, "b!"},
    {">=", t_ge, "b!"},
    {"in", t_in, "seq!"},
    {"filter", t_filter, ""},
    {"test", t_test, ""},
    {0},
};
