/* Numbers and strings of JSON schemas as automata. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/grammar_regex.h"
#include "text/schema_int.h"
#include "text/utf8_int.h"

enum { MAX_DIGITS = 400, MAX_RESIDUES = 40000 };

static void compile(struct schema *x, const char *regex, struct dfa *out)
{
    regex_compile(regex, strlen(regex), false, 64, &x->b->budget, out, x->b->err);
}

void schema_decimals(struct schema *x, struct dfa *out)
{
    compile(x, "-?(0|[1-9][0-9]*)(\\.[0-9]+)?", out);
}

/* 1.0 and 1e2 are integers. With a fraction that an exponent makes whole they are too, but no automaton
 * tells those. */
void schema_integers(struct schema *x, bool exponents, struct dfa *out)
{
    compile(x, exponents ? "-?(0|[1-9][0-9]*)(\\.0+)?([eE]\\+?[0-9]+)?" : "-?(0|[1-9][0-9]*)(\\.0+)?", out);
}

/* ---- decimals -----------------------------------------------------------------------------------
 */

/* 0.digits times ten to the power of point; no digits: zero. Without zeros at either end. */
struct decimal {
    bool negative;
    char digits[MAX_DIGITS];
    int n, point;
};

static bool decimal_of(const json_t *value, struct decimal *d)
{
    char text[40];
    *d = (struct decimal){0};
    if (json_is_integer(value)) {
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    } else {
        double v = json_real_value(value);
        if (!isfinite(v)) return false;
        for (int precision = 15; precision <= 17; precision++) {
            snprintf(text, sizeof text, "%.*e", precision - 1, v);
            if (strtod(text, NULL) == v) break;
        }
    }
    const char *p = text;
    if ((d->negative = *p == '-')) p++;
    bool fraction = false;
    for (; *p && *p != 'e'; p++) {
        if (*p < '0' || *p > '9') {
            fraction = true;
            continue;
        }
        d->point += !fraction;
        d->digits[d->n++] = *p;
    }
    if (*p == 'e') d->point += atoi(p + 1);
    int zeros = 0;
    while (zeros < d->n && d->digits[zeros] == '0') zeros++;
    memmove(d->digits, d->digits + zeros, (size_t)(d->n - zeros));
    d->n -= zeros;
    d->point -= zeros;
    while (d->n > 0 && d->digits[d->n - 1] == '0') d->n--;
    if (d->n == 0) {
        d->point = 0;
        d->negative = false;
    }
    return d->point < MAX_DIGITS && d->point > -MAX_DIGITS;
}

static char digit_at(const struct decimal *d, int i)
{
    return i >= 0 && i < d->n ? d->digits[i] : '0';
}

/* ---- comparing ----------------------------------------------------------------------------------
 */

/* States of a comparison at one place: less, equal, more so far. */
struct so_far {
    uint32_t s[3];
};

static struct so_far three(struct nfa *a)
{
    return (struct so_far){{nfa_state(a), nfa_state(a), nfa_state(a)}};
}

static void compare_digit(struct nfa *a, struct so_far from, char digit, char low, struct so_far to)
{
    nfa_edge(a, from.s[0], (unsigned char)low, '9', to.s[0]);
    nfa_edge(a, from.s[2], (unsigned char)low, '9', to.s[2]);
    if (digit > low) nfa_edge(a, from.s[1], (unsigned char)low, (unsigned char)digit - 1u, to.s[0]);
    if (digit >= low) nfa_edge(a, from.s[1], (unsigned char)digit, (unsigned char)digit, to.s[1]);
    if (digit < '9') nfa_edge(a, from.s[1], (unsigned char)(digit < low ? low : digit + 1), '9', to.s[2]);
}

static void accept_from(struct nfa *a, struct so_far at, unsigned want, uint32_t end)
{
    for (int i = 0; i < 3; i++)
        if (want >> i & 1) nfa_skip(a, at.s[i], end);
}

/* What follows a whole part of the bound's length: its end, or a fraction. */
static void compare_fraction(struct nfa *a, struct so_far at, const struct decimal *d, int point,
                             unsigned want, uint32_t end)
{
    int n = d->n > point ? d->n - point : 0; /* digits of the bound's fraction */
    for (int i = 0; i < 3; i++)
        if (want >> (n && i == 1 ? 0 : i) & 1) nfa_skip(a, at.s[i], end);
    struct so_far in = three(a);
    for (int i = 0; i < 3; i++) nfa_edge(a, at.s[i], '.', '.', in.s[i]);
    for (int k = 0; k < n; k++) {
        struct so_far next = three(a);
        compare_digit(a, in, digit_at(d, point + k), '0', next);
        bool whole = k + 1 == n;
        for (int i = 0; i < 3; i++)
            if (want >> (!whole && i == 1 ? 0 : i) & 1) nfa_skip(a, next.s[i], end);
        in = next;
    }
    struct so_far rest = three(a);
    compare_digit(a, in, '0', '0', rest);
    compare_digit(a, rest, '0', '0', rest);
    accept_from(a, rest, want, end);
}

/* Decimals without a sign against the bound's digits. */
static void compare_positive(struct nfa *a, uint32_t from, const struct decimal *d, unsigned want,
                             uint32_t end)
{
    int len = d->point > 0 ? d->point : 1; /* of the whole part; "0" where it has none */
    int skip = d->point > 0 ? 0 : d->point - 1;
    struct so_far at = three(a);
    /* As long as the bound's; the first digit is 0 only alone. */
    nfa_skip(a, from, at.s[1]);
    for (int i = 0; i < len; i++) {
        struct so_far next = three(a);
        compare_digit(a, at, digit_at(d, i + skip), i == 0 && len > 1 ? '1' : '0', next);
        at = next;
    }
    compare_fraction(a, at, d, len + skip, want, end);
    /* Shorter: less. Longer: more. */
    struct so_far other = three(a);
    uint32_t state = nfa_state(a), begin = nfa_state(a);
    nfa_skip(a, from, begin);
    nfa_edge(a, begin, '1', '9', state);
    if (len > 1) nfa_edge(a, begin, '0', '0', other.s[0]);
    for (int i = 1; i <= len; i++) {
        uint32_t next = nfa_state(a);
        if (i < len) nfa_skip(a, state, other.s[0]);
        nfa_edge(a, state, '0', '9', next);
        state = next;
    }
    nfa_edge(a, state, '0', '9', state);
    nfa_skip(a, state, other.s[2]);
    for (int i = 0; i < 3; i += 2) {
        if (!(want >> i & 1)) continue;
        uint32_t point = nfa_state(a), fraction = nfa_state(a);
        nfa_skip(a, other.s[i], end);
        nfa_edge(a, other.s[i], '.', '.', point);
        nfa_edge(a, point, '0', '9', fraction);
        nfa_edge(a, fraction, '0', '9', fraction);
        nfa_skip(a, fraction, end);
    }
}

static unsigned swapped(unsigned want)
{
    return (want & CMP_EQUAL) | (want & CMP_LESS ? CMP_MORE : 0) | (want & CMP_MORE ? CMP_LESS : 0);
}

void schema_compare(struct schema *x, const json_t *bound, unsigned want, struct dfa *out)
{
    struct decimal d;
    struct nfa a = {.budget = &x->b->budget};
    *out = (struct dfa){0};
    if (!decimal_of(bound, &d)) {
        schema_fail(x, ERR_LIMIT, NULL, NULL, "a number with more than %d digits", MAX_DIGITS);
        return;
    }
    uint32_t start = nfa_state(&a), end = nfa_state(&a), minus = nfa_state(&a);
    struct decimal zero = {0}, size = d;
    size.negative = false;
    nfa_edge(&a, start, '-', '-', minus);
    /* Not below zero, then below (or -0). */
    if (!d.negative)
        compare_positive(&a, start, &size, want, end);
    else if (want & CMP_MORE)
        compare_positive(&a, start, &zero, CMP_LESS | CMP_EQUAL | CMP_MORE, end);
    if (d.negative || d.n == 0)
        compare_positive(&a, minus, &size, swapped(want), end);
    else if (want & CMP_LESS)
        compare_positive(&a, minus, &zero, CMP_LESS | CMP_EQUAL | CMP_MORE, end);
    dfa_from_nfa(&a, start, end, out);
    nfa_fini(&a);
}

/* Plain, and as d.ddde+xx, in which printers write large and small numbers. */
void schema_equal(struct schema *x, const json_t *value, struct dfa *out)
{
    struct dfa plain;
    struct decimal d;
    schema_compare(x, value, CMP_EQUAL, &plain);
    if (!schema_good(x) || !decimal_of(value, &d)) {
        *out = plain;
        return;
    }
    struct nfa a = {.budget = &x->b->budget};
    uint32_t start = nfa_state(&a), end = nfa_state(&a), last;
    dfa_into(&plain, &a, start, end);
    dfa_fini(&plain);
    char exponent[16];
    int power = d.n ? d.point - 1 : 0, n = snprintf(exponent, sizeof exponent, "%d", abs(power));
    uint32_t at = nfa_state(&a), first = nfa_state(&a);
    if (d.negative)
        nfa_edge(&a, start, '-', '-', at);
    else
        nfa_skip(&a, start, at);
    nfa_edge(&a, at, (unsigned char)digit_at(&d, 0), (unsigned char)digit_at(&d, 0), first);
    last = first;
    for (int i = 1; i < d.n; i++) {
        uint32_t next = nfa_state(&a);
        if (i == 1) {
            nfa_edge(&a, last, '.', '.', next);
            last = next;
            next = nfa_state(&a);
        }
        nfa_edge(&a, last, (unsigned char)d.digits[i], (unsigned char)d.digits[i], next);
        last = next;
    }
    uint32_t e = nfa_state(&a), sign = nfa_state(&a);
    if (d.n <= 1) { /* 1.0e5 */
        uint32_t point = nfa_state(&a), zeros = nfa_state(&a);
        nfa_edge(&a, last, '.', '.', point);
        nfa_edge(&a, point, '0', '0', zeros);
        nfa_edge(&a, zeros, '0', '0', zeros);
        nfa_edge(&a, zeros, 'e', 'e', e);
        nfa_edge(&a, zeros, 'E', 'E', e);
    }
    nfa_edge(&a, last, 'e', 'e', e);
    nfa_edge(&a, last, 'E', 'E', e);
    if (power >= 0) nfa_skip(&a, e, sign);
    nfa_edge(&a, e, power < 0 ? '-' : '+', power < 0 ? '-' : '+', sign);
    nfa_edge(&a, sign, '0', '0', sign);
    nfa_bytes(&a, sign, exponent, (size_t)n, end);
    dfa_from_nfa(&a, start, end, out);
    nfa_fini(&a);
}

/* ---- multiples ----------------------------------------------------------------------------------
 */

/* unit / 10^places, in lowest terms of ten. Each digit takes the remainder on; behind the point there
 * are `places` of them that count, and zeros. */
static void residues(struct schema *x, uint64_t unit, int places, struct dfa *out)
{
    struct nfa a = {.budget = &x->b->budget};
    uint32_t start = nfa_state(&a), end = nfa_state(&a);
    size_t per = (size_t)unit;
    uint32_t base = (uint32_t)a.n;
    for (size_t i = 0; i < per * (size_t)(places + 2) && schema_good(x); i++) nfa_state(&a);
    uint32_t zeros = nfa_state(&a);
    if (schema_good(x)) {
        nfa_edge(&a, start, '-', '-', base);
        nfa_skip(&a, start, base);
        nfa_edge(&a, zeros, '0', '0', zeros);
        nfa_skip(&a, zeros, end);
    }
    /* Layer 0: the whole part; layer 1 + j: j digits behind the point. */
    for (uint64_t r = 0; r < unit && schema_good(x); r++)
        for (int layer = 0; layer < places + 2; layer++) {
            uint32_t from = base + (uint32_t)((uint64_t)layer * unit + r);
            int j = layer ? layer - 1 : 0;
            uint64_t scaled = r;
            for (int k = j; k < places; k++) scaled = scaled * 10 % unit;
            if (scaled == 0 && (layer != 1)) nfa_skip(&a, from, end);
            if (layer == 0) nfa_edge(&a, from, '.', '.', base + (uint32_t)(unit + r));
            if (layer == places + 1 && scaled == 0) nfa_edge(&a, from, '0', '0', zeros);
            if (layer == places + 1) continue;
            uint32_t to_layer = layer ? (uint32_t)layer + 1 : 0;
            for (uint32_t digit = 0; digit < 10; digit++)
                nfa_edge(&a, from, '0' + digit, '0' + digit,
                         base + (uint32_t)(to_layer * unit + (r * 10 + digit) % unit));
        }
    struct dfa all, plain;
    dfa_from_nfa(&a, start, end, &all);
    nfa_fini(&a);
    schema_decimals(x, &plain);
    dfa_combine(&all, &plain, FA_AND, &x->b->budget, out);
    dfa_fini(&all);
    dfa_fini(&plain);
}

void schema_multiples(struct schema *x, const json_t *schema, const json_t *of, struct dfa *out)
{
    struct decimal d;
    uint64_t unit = 0;
    *out = (struct dfa){0};
    bool fits = decimal_of(of, &d) && d.n < 18;
    if (fits && (d.n == 0 || d.negative)) {
        schema_fail(x, ERR_FORMAT, schema, "multipleOf", "must be a number above zero");
        return;
    }
    int places = d.n - d.point;
    for (int i = 0; fits && i < d.n; i++) unit = unit * 10 + (uint64_t)(d.digits[i] - '0');
    for (; fits && places < 0 && unit <= MAX_RESIDUES; places++) unit *= 10;
    if (!fits || unit > MAX_RESIDUES || places > 100 || unit * (uint64_t)(places + 2) > MAX_RESIDUES) {
        schema_fail(x, ERR_LIMIT, schema, "multipleOf",
                    "its digits make more than %d remainders: use a simpler number", MAX_RESIDUES);
        return;
    }
    residues(x, unit, places, out);
}

/* ---- strings ------------------------------------------------------------------------------------
 */

static void any_point(struct nfa *a, uint32_t from, uint32_t to)
{
    nfa_edge(a, from, 0, 0xD7FF, to);
    nfa_edge(a, from, 0xE000, FA_MAX_POINT, to);
}

void schema_lengths(struct schema *x, size_t min, size_t max, struct dfa *out)
{
    struct nfa a = {.budget = &x->b->budget};
    uint32_t at = nfa_state(&a), start = at, end = nfa_state(&a);
    size_t n = max == SIZE_MAX ? min : max;
    for (size_t i = 0; i < n && schema_good(x); i++) {
        uint32_t next = nfa_state(&a);
        if (i >= min) nfa_skip(&a, at, end);
        any_point(&a, at, next);
        at = next;
    }
    if (schema_good(x) && max == SIZE_MAX) any_point(&a, at, at);
    if (schema_good(x) && n >= min) nfa_skip(&a, at, end);
    dfa_from_nfa(&a, start, end, out);
    nfa_fini(&a);
}

void schema_literal(struct schema *x, const char *s, size_t n, struct dfa *out)
{
    struct nfa a = {.budget = &x->b->budget};
    uint32_t at = nfa_state(&a), start = at;
    for (size_t i = 0; i < n;) {
        size_t len = utf8_sequence(s + i, n - i);
        uint32_t c = utf8_decode(s + i, len ? len : 1), next = nfa_state(&a);
        nfa_edge(&a, at, c, c, next);
        at = next;
        i += len ? len : 1;
    }
    dfa_from_nfa(&a, start, at, out);
    nfa_fini(&a);
}

bool schema_matches(const struct dfa *d, const char *s, size_t n)
{
    uint32_t at = d->n ? 0 : FA_NONE;
    for (size_t i = 0; i < n && at != FA_NONE;) {
        size_t len = utf8_sequence(s + i, n - i);
        at = dfa_step(d, at, utf8_decode(s + i, len ? len : 1));
        i += len ? len : 1;
    }
    return at != FA_NONE && d->final[at];
}

/* RFC 3339, 4122, 2673, 4291, 1123, 5321 (dot-string local parts), 3986, 6901. */
#define DATE "(([0-9]{4})-(((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01]))|((0[469]|11)-(0[1-9]|[12][0-9]|30))|(02-(0[1-9]|1[0-9]|2[0-8])))|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
#define TIME "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]+)?([zZ]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
#define LABEL "[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
#define OCTET "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define IPV4 OCTET "(\\." OCTET "){3}"
#define H16 "[0-9a-fA-F]{1,4}"
#define LS32 "(" H16 ":" H16 "|" IPV4 ")"
#define IPV6 "((" H16 ":){6}" LS32 "|::(" H16 ":){5}" LS32 "|(" H16 ")?::(" H16 ":){4}" LS32 \
    "|((" H16 ":){0,1}" H16 ")?::(" H16 ":){3}" LS32 "|((" H16 ":){0,2}" H16 ")?::(" H16 ":){2}" LS32 \
    "|((" H16 ":){0,3}" H16 ")?::" H16 ":" LS32 "|((" H16 ":){0,4}" H16 ")?::" LS32 \
    "|((" H16 ":){0,5}" H16 ")?::" H16 "|((" H16 ":){0,6}" H16 ")?::)"
#define PCHAR "([a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})"
#define HIER "(//((([a-zA-Z0-9._~!$&'()*+,;=:-]|%[0-9a-fA-F]{2})*@)?([a-zA-Z0-9._~!$&'()*+,;=-]|%[0-9a-fA-F]{2})*|\\[" IPV6 "\\])(:[0-9]*)?(/" PCHAR "*)*|/(" PCHAR "+(/" PCHAR "*)*)?|" PCHAR "+(/" PCHAR "*)*|)"
#define TAIL "(\\?(" PCHAR "|[/?])*)?(#(" PCHAR "|[/?])*)?"

bool schema_format(struct schema *x, const json_t *schema, const char *name, struct dfa *out)
{
    static const struct {
        const char *name, *regex; /* NULL: known, but not supported */
    } formats[] = {
        {"date", DATE},
        {"time", TIME},
        {"date-time", "(" DATE ")[tT]" TIME},
        {"uuid", "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"},
        {"email", "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+)*@(" LABEL "(\\." LABEL ")*)"},
        {"hostname", LABEL "(\\." LABEL ")*"},
        {"ipv4", IPV4},
        {"ipv6", IPV6},
        {"uri", "[a-zA-Z][a-zA-Z0-9+.-]*:" HIER TAIL},
        {"json-pointer", "(/([^/~]|~[01])*)*"},
        {"relative-json-pointer", "(0|[1-9][0-9]*)(#|(/([^/~]|~[01])*)*)"},
        {"duration", "P([0-9]+W|([0-9]+Y([0-9]+M([0-9]+D)?)?|[0-9]+M([0-9]+D)?|[0-9]+D)(T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?|[0-9]+S))?|T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?|[0-9]+S))"},
        {"idn-email", NULL}, {"idn-hostname", NULL}, {"uri-reference", NULL}, {"iri", NULL},
        {"iri-reference", NULL}, {"uri-template", NULL}, {"regex", NULL},
    };
    *out = (struct dfa){0};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (strcmp(name, formats[i].name) != 0) continue;
        if (!formats[i].regex)
            schema_fail(x, ERR_UNSUPPORTED, schema, "format", "'%s' cannot be held to", name);
        else
            compile(x, formats[i].regex, out);
        return true;
    }
    return false;
}
