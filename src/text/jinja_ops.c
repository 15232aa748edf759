/* Operators, attributes, items and slices. */
#include <math.h>
#include <string.h>

#include "text/jinja_int.h"

static struct jinja_value bad_operands(struct jinja *in, const char *op, struct jinja_value a,
                                       struct jinja_value b)
{
    struct jinja_value u = a.kind == JINJA_UNDEFINED ? a : b;
    if (u.kind == JINJA_UNDEFINED)
        return jinja_fail(in, ERR_INVALID, "'%.*s' is undefined", (int)u.len, u.s);
    return jinja_fail(in, ERR_INVALID, "unsupported operand types for %s: '%s' and '%s'", op,
                      jinja_type_name(a), jinja_type_name(b));
}

static bool integers(struct jinja_value a, struct jinja_value b)
{
    return jinja_is_number(a) && jinja_is_number(b) && a.kind != JINJA_FLOAT && b.kind != JINJA_FLOAT;
}

static struct jinja_value too_large(struct jinja *in)
{
    return jinja_fail(in, ERR_LIMIT, "an integer of more than 64 bits");
}

static struct jinja_value add_lists(struct jinja *in, struct jinja_value a, struct jinja_value b)
{
    struct jinja_value l = jinja_list_new(in, a.list->form);
    for (uint32_t i = 0; i < a.list->len && jinja_step(in, 1); i++) jinja_list_add(in, l, a.list->items[i]);
    for (uint32_t i = 0; i < b.list->len && jinja_step(in, 1); i++) jinja_list_add(in, l, b.list->items[i]);
    return l;
}

static struct jinja_value add(struct jinja *in, struct jinja_value a, struct jinja_value b)
{
    int64_t r;
    if (integers(a, b))
        return __builtin_add_overflow(jinja_as_int(a), jinja_as_int(b), &r) ? too_large(in) : jinja_int(r);
    if (jinja_is_number(a) && jinja_is_number(b)) return jinja_float(jinja_as_double(a) + jinja_as_double(b));
    if (a.kind == JINJA_STR && b.kind == JINJA_STR) {
        bool safe = a.safe || b.safe;
        if (safe && !a.safe) a = jinja_escape(in, a);
        if (safe && !b.safe) b = jinja_escape(in, b);
        struct jinja_value s = jinja_join2(in, a, b);
        s.safe = safe;
        return s;
    }
    if (a.kind == JINJA_LIST && b.kind == JINJA_LIST && a.list->form == b.list->form &&
        a.list->form <= FORM_TUPLE)
        return add_lists(in, a, b);
    return bad_operands(in, "+", a, b);
}

static struct jinja_value repeat(struct jinja *in, struct jinja_value x, int64_t n)
{
    if (n < 0) n = 0;
    if (x.kind == JINJA_STR) {
        uint64_t bytes;
        if (__builtin_mul_overflow((uint64_t)n, (uint64_t)x.len, &bytes) || bytes > in->limits.memory)
            return jinja_fail(in, ERR_LIMIT, "it needs more than %zu bytes of memory", in->limits.memory);
        char *p = jinja_alloc(in, bytes);
        if (!p) return jinja_str("", 0);
        if (x.len)
            for (int64_t i = 0; i < n; i++) {
                memcpy(p + (size_t)i * x.len, x.s, x.len);
                jinja_marks_copy(&in->arena, p + (size_t)i * x.len, x.s, x.len);
            }
        struct jinja_value v = jinja_str(p, bytes);
        v.safe = x.safe;
        return v;
    }
    struct jinja_value l = jinja_list_new(in, x.list->form);
    for (int64_t i = 0; i < n && x.list->len; i++)
        for (uint32_t k = 0; k < x.list->len; k++) {
            if (!jinja_step(in, 1)) return l;
            jinja_list_add(in, l, x.list->items[k]);
        }
    return l;
}

static bool can_repeat(struct jinja_value v)
{
    return v.kind == JINJA_STR || (v.kind == JINJA_LIST && v.list->form <= FORM_TUPLE);
}

static struct jinja_value multiply(struct jinja *in, struct jinja_value a, struct jinja_value b)
{
    int64_t r;
    if (integers(a, b))
        return __builtin_mul_overflow(jinja_as_int(a), jinja_as_int(b), &r) ? too_large(in) : jinja_int(r);
    if (jinja_is_number(a) && jinja_is_number(b)) return jinja_float(jinja_as_double(a) * jinja_as_double(b));
    if (can_repeat(a) && (b.kind == JINJA_INT || b.kind == JINJA_BOOL)) return repeat(in, a, jinja_as_int(b));
    if (can_repeat(b) && (a.kind == JINJA_INT || a.kind == JINJA_BOOL)) return repeat(in, b, jinja_as_int(a));
    return bad_operands(in, "*", a, b);
}

static struct jinja_value divide(struct jinja *in, enum jinja_op op, struct jinja_value a,
                                 struct jinja_value b)
{
    if (op == OP_MOD && a.kind == JINJA_STR) {
        struct jinja_args args = {.pos = &b, .n_pos = 1};
        if (b.kind == JINJA_LIST && b.list->form == FORM_TUPLE) {
            args.pos = b.list->items;
            args.n_pos = b.list->len;
        }
        if (b.kind == JINJA_DICT) {
            args = (struct jinja_args){.named = b.dict->pairs, .n_named = b.dict->len};
        }
        return jinja_format_percent(in, a, &args);
    }
    if (!jinja_is_number(a) || !jinja_is_number(b))
        return bad_operands(in, op == OP_DIV ? "/" : op == OP_MOD ? "%" : "//", a, b);
    if (jinja_as_double(b) == 0) return jinja_fail(in, ERR_INVALID, "division by zero");
    double x = jinja_as_double(a), y = jinja_as_double(b);
    if (op == OP_DIV) return jinja_float(x / y);
    if (!integers(a, b)) {
        double q = floor(x / y), m = fmod(x, y);
        if (m != 0 && (m < 0) != (y < 0)) m += y;
        return jinja_float(op == OP_MOD ? m : q);
    }
    int64_t i = jinja_as_int(a), j = jinja_as_int(b);
    if (j == -1) { /* INT64_MIN / -1 does not fit */
        if (op == OP_MOD) return jinja_int(0);
        return i == INT64_MIN ? too_large(in) : jinja_int(-i);
    }
    int64_t q = i / j, m = i % j;
    if (m != 0 && (m < 0) != (j < 0)) {
        m += j;
        q--;
    }
    return jinja_int(op == OP_MOD ? m : q);
}

static struct jinja_value power(struct jinja *in, struct jinja_value a, struct jinja_value b)
{
    if (!jinja_is_number(a) || !jinja_is_number(b)) return bad_operands(in, "**", a, b);
    if (!integers(a, b) || jinja_as_int(b) < 0) {
        double x = jinja_as_double(a), y = jinja_as_double(b);
        if (x == 0 && y < 0) return jinja_fail(in, ERR_INVALID, "zero to a negative power");
        double r = pow(x, y);
        if (!isfinite(r) && isfinite(x) && isfinite(y))
            return jinja_fail(in, ERR_INVALID, "the result of a power is no number or too large");
        return jinja_float(r);
    }
    int64_t base = jinja_as_int(a), e = jinja_as_int(b), r = 1;
    if (base == 0 || base == 1) return jinja_int(e == 0 ? 1 : base);
    if (base == -1) return jinja_int(e % 2 ? -1 : 1);
    for (; e > 0; e--)
        if (__builtin_mul_overflow(r, base, &r)) return too_large(in);
    return jinja_int(r);
}

struct jinja_value jinja_binary(struct jinja *in, enum jinja_op op, struct jinja_value a,
                                struct jinja_value b)
{
    int64_t r;
    if (in->st != OK) return jinja_undefined("", 0);
    switch (op) {
    case OP_ADD:
        return add(in, a, b);
    case OP_SUB:
        if (!jinja_is_number(a) || !jinja_is_number(b)) return bad_operands(in, "-", a, b);
        if (!integers(a, b)) return jinja_float(jinja_as_double(a) - jinja_as_double(b));
        return __builtin_sub_overflow(jinja_as_int(a), jinja_as_int(b), &r) ? too_large(in) : jinja_int(r);
    case OP_MUL:
        return multiply(in, a, b);
    case OP_POW:
        return power(in, a, b);
    default:
        return divide(in, op, a, b);
    }
}

struct jinja_value jinja_unary(struct jinja *in, enum jinja_op op, struct jinja_value a)
{
    if (in->st != OK) return jinja_undefined("", 0);
    if (!jinja_is_number(a)) return bad_operands(in, op == OP_NEG ? "-" : "+", a, a);
    if (a.kind == JINJA_FLOAT) return jinja_float(op == OP_NEG ? -a.f : a.f);
    int64_t i = jinja_as_int(a);
    if (op == OP_POS) return jinja_int(i);
    return i == INT64_MIN ? too_large(in) : jinja_int(-i);
}

bool jinja_compare(struct jinja *in, enum jinja_op op, struct jinja_value a, struct jinja_value b)
{
    if (in->st != OK) return false;
    switch (op) {
    case OP_EQ:
        return jinja_equal(in, a, b);
    case OP_NE:
        return !jinja_equal(in, a, b);
    case OP_IN:
        return jinja_contains(in, b, a);
    case OP_NOT_IN:
        return !jinja_contains(in, b, a);
    default:
        break;
    }
    int c = jinja_order(in, a, b, false);
    bool nan = (a.kind == JINJA_FLOAT && isnan(a.f)) || (b.kind == JINJA_FLOAT && isnan(b.f));
    return !nan && (op == OP_LT ? c < 0 : op == OP_LE ? c <= 0 : op == OP_GT ? c > 0 : c >= 0);
}

static struct jinja_value loop_item(const struct jinja_loop *l, int64_t i, const char *name)
{
    if (i < 0 || i >= (int64_t)l->items->len) return jinja_undefined(name, strlen(name));
    return l->items->items[i];
}

static struct jinja_value loop_attr(struct jinja_value v, const char *name, size_t len)
{
    struct jinja_loop *l = v.loop;
    struct jinja_value s = jinja_str(name, len);
    int64_t at = l->at, n = l->items->len;
    if (jinja_is(s, "index")) return jinja_int(at + 1);
    if (jinja_is(s, "index0")) return jinja_int(at);
    if (jinja_is(s, "revindex")) return jinja_int(n - at);
    if (jinja_is(s, "revindex0")) return jinja_int(n - at - 1);
    if (jinja_is(s, "first")) return jinja_bool(at == 0);
    if (jinja_is(s, "last")) return jinja_bool(at == n - 1);
    if (jinja_is(s, "length")) return jinja_int(n);
    if (jinja_is(s, "depth")) return jinja_int(1);
    if (jinja_is(s, "depth0")) return jinja_int(0);
    if (jinja_is(s, "previtem")) return loop_item(l, at - 1, "there is no previous item");
    if (jinja_is(s, "nextitem")) return loop_item(l, at + 1, "there is no next item");
    return jinja_undefined(name, len);
}

static struct jinja_value use_of_undefined(struct jinja *in, struct jinja_value x)
{
    return jinja_fail(in, ERR_INVALID, "'%.*s' is undefined", (int)x.len, x.s);
}

struct jinja_value jinja_attr(struct jinja *in, struct jinja_value x, const char *name, size_t len)
{
    if (in->st != OK) return jinja_undefined("", 0);
    if (x.kind == JINJA_UNDEFINED) return use_of_undefined(in, x);
    if (len >= 2 && name[0] == '_' && name[1] == '_') return jinja_undefined(name, len);
    if (x.kind != JINJA_NAMESPACE) {
        const struct jinja_function *f = jinja_method_find(x, name, len);
        if (f) {
            struct jinja_bound *b = jinja_alloc(in, sizeof *b);
            if (!b) return jinja_undefined("", 0);
            *b = (struct jinja_bound){f, x};
            return (struct jinja_value){.kind = JINJA_METHOD, .bound = b};
        }
    }
    if (x.kind == JINJA_LOOP) return loop_attr(x, name, len);
    if (x.kind == JINJA_MACRO && len == 4 && memcmp(name, "name", 4) == 0) return x.macro->node->v;
    if (x.kind == JINJA_DICT || x.kind == JINJA_NAMESPACE) {
        struct jinja_pair *p = jinja_dict_find_str(x.dict, name, len);
        if (p) return p->value;
    }
    return jinja_undefined(name, len);
}

struct jinja_value jinja_item(struct jinja *in, struct jinja_value x, struct jinja_value key)
{
    if (in->st != OK) return jinja_undefined("", 0);
    if (x.kind == JINJA_UNDEFINED) return use_of_undefined(in, x);
    bool index = key.kind == JINJA_INT || key.kind == JINJA_BOOL;
    bool hashable = key.kind != JINJA_DICT && !(key.kind == JINJA_LIST && key.list->form != FORM_TUPLE);
    if (x.kind == JINJA_DICT && hashable) {
        struct jinja_pair *p = jinja_dict_find(in, x.dict, key);
        if (p) return p->value;
    } else if (x.kind == JINJA_LIST && index && x.list->form <= FORM_RANGE) {
        int64_t i = jinja_as_int(key);
        if (i < 0) i += x.list->len;
        if (i >= 0 && i < (int64_t)x.list->len) return x.list->items[i];
    } else if (x.kind == JINJA_STR && index) {
        int64_t i = jinja_as_int(key);
        if (!jinja_step(in, x.len / 16)) return jinja_undefined("", 0);
        if (i < 0) i += (int64_t)jinja_count_chars(x.s, x.len);
        size_t at = i >= 0 ? jinja_char_offset(x.s, x.len, (size_t)i) : x.len;
        if (at < x.len) return jinja_str(x.s + at, jinja_char_len(x.s + at, x.s + x.len));
    }
    if (key.kind == JINJA_STR) return jinja_attr(in, x, key.s, key.len);
    return jinja_undefined("item", 4);
}

/* Where a bound of a slice lies among n items (Python's PySlice_AdjustIndices). */
static int64_t bound(int64_t i, int64_t n, bool backward)
{
    if (i < 0) i += n;
    if (i < 0) return backward ? -1 : 0;
    if (i >= n) return backward ? n - 1 : n;
    return i;
}

struct jinja_value jinja_slice(struct jinja *in, struct jinja_value x, struct jinja_value start,
                               struct jinja_value stop, struct jinja_value step)
{
    int64_t by = 1, from, to;
    if (in->st != OK) return jinja_undefined("", 0);
    if (x.kind == JINJA_UNDEFINED) return use_of_undefined(in, x);
    bool text = x.kind == JINJA_STR;
    if (!text && !(x.kind == JINJA_LIST && x.list->form <= FORM_RANGE)) return jinja_undefined("slice", 5);
    if (step.kind != JINJA_NONE && !jinja_want_int(in, step, &by)) return x;
    if (by == 0) return jinja_fail(in, ERR_INVALID, "slice step cannot be zero");
    int64_t n = jinja_length(in, x);
    from = by < 0 ? n - 1 : 0;
    to = by < 0 ? -1 : n;
    if (start.kind != JINJA_NONE) {
        if (!jinja_want_int(in, start, &from)) return x;
        from = bound(from, n, by < 0);
    }
    if (stop.kind != JINJA_NONE) {
        if (!jinja_want_int(in, stop, &to)) return x;
        to = bound(to, n, by < 0);
    }
    if (text && by == 1) {
        if (to <= from || !jinja_step(in, x.len / 16)) return jinja_str("", 0);
        size_t a = jinja_char_offset(x.s, x.len, (size_t)from);
        size_t b = a + jinja_char_offset(x.s + a, x.len - a, (size_t)(to - from));
        return jinja_str(x.s + a, b - a);
    }
    struct jinja_list *l = jinja_iter(in, x);
    struct jinja_value out = jinja_list_new(in, text || x.list->form != FORM_TUPLE ? FORM_LIST : FORM_TUPLE);
    struct jinja_out o = {0};
    /* The step may be near the ends of its type: count rounds, so that the index cannot overflow. */
    uint64_t gap = by > 0 ? (uint64_t)by : 0 - (uint64_t)by;
    uint64_t span = by > 0 ? (uint64_t)(to > from ? to - from : 0) : (uint64_t)(from > to ? from - to : 0);
    uint64_t count = span / gap + (span % gap != 0);
    for (uint64_t k = 0; l && k < count && jinja_step(in, 1); k++) {
        int64_t i = by > 0 ? from + (int64_t)(k * gap) : from - (int64_t)(k * gap);
        if (text)
            jinja_out_add(in, &o, l->items[i].s, l->items[i].len);
        else
            jinja_list_add(in, out, l->items[i]);
    }
    return text ? jinja_out_value(&o) : out;
}

struct jinja_value jinja_attr_path(struct jinja *in, struct jinja_value x, struct jinja_value path)
{
    if (path.kind == JINJA_INT) return jinja_item(in, x, path);
    if (!jinja_want_str(in, path)) return jinja_undefined("", 0);
    for (const char *p = path.s, *end = path.s + path.len; in->st == OK;) {
        const char *dot = memchr(p, '.', (size_t)(end - p));
        const char *to = dot ? dot : end;
        bool number = to > p;
        int64_t i = 0;
        for (const char *q = p; q < to; q++) {
            number = number && *q >= '0' && *q <= '9' && i < 1000000000;
            if (number) i = 10 * i + *q - '0';
        }
        x = jinja_item(in, x, number ? jinja_int(i) : jinja_str(p, (size_t)(to - p)));
        if (!dot) break;
        p = dot + 1;
    }
    return x;
}
