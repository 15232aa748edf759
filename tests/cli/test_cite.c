/* Citations in an answer, fed whole and byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cite.h"

static enum status keep(void *ctx, const char *text, size_t len, struct error *err)
{
    (void)err;
    return buf_append(ctx, text, len);
}

static size_t cited;

static void check(const char *answer, const char *expected, size_t invented)
{
    for (size_t step = 1; step <= strlen(answer) + 1; step += strlen(answer)) {
        struct cite_source s[] = {{"src/net.py", 10, 20, false}, {"src/net.py", 40, 44, false}, {"lib/a b.c", 1, 3, false}};
        struct cite c;
        struct buf out;
        struct error err = {0};
        buf_init(&out, 1 << 20);
        cite_init(&c, s, 3);
        c.write = keep;
        c.ctx = &out;
        for (size_t i = 0; i < strlen(answer); i += step) {
            size_t n = strlen(answer) - i < step ? strlen(answer) - i : step;
            assert_int_equal(cite_feed(&c, answer + i, n, &err), OK);
        }
        assert_int_equal(cite_end(&c, &err), OK);
        assert_string_equal(out.data, expected);
        assert_int_equal(c.invented, invented);
        cited = (size_t)s[0].cited + 2 * (size_t)s[1].cited + 4 * (size_t)s[2].cited;
        cite_fini(&c);
        buf_fini(&out);
    }
}

static void given_places_stay(void **state)
{
    (void)state;
    check("It is (src/net.py:12).", "It is (src/net.py:12).", 0);
    assert_int_equal(cited, 1);
    check("See `src/net.py:40-44`: there, net.py:20", "See `src/net.py:40-44`: there, net.py:20", 0);
    assert_int_equal(cited, 3);
    check("./src/net.py:10:5, b.c:2.", "./src/net.py:10:5, b.c:2.", 0);
    assert_int_equal(cited, 5);
}

static void invented_places_are_marked(void **state)
{
    (void)state;
    check("src/net.py:21.", "src/net.py:21" CITE_INVENTED ".", 1);
    check("src/net.py:18-22", "src/net.py:18-22" CITE_INVENTED, 1);
    check("src/net.py:20-12", "src/net.py:20-12" CITE_INVENTED, 1);
    check("t.py:12 et.py:12 x/src/net.py:12", "t.py:12" CITE_INVENTED " et.py:12" CITE_INVENTED " x/src/net.py:12" CITE_INVENTED, 3);
    check("none.c:1 and src/net.py:99999999999", "none.c:1" CITE_INVENTED " and src/net.py:99999999999", 1);
    assert_int_equal(cited, 0);
}

static void other_text_stays(void **state)
{
    (void)state;
    const char *plain[] = {"at 12:30, 127.0.0.1:80, http://a.b/c:80, a:1, x.y: 3, src/net.py, std::max, :5, 1.5:2", "a\n\n  b\t:-.", "."};
    for (size_t i = 0; i < 3; i++) check(plain[i], plain[i], 0);
    static char word[3 * CITE_MAX_WORD];
    memset(word, 'x', sizeof word - 1);
    check(word, word, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(given_places_stay),
        cmocka_unit_test(invented_places_are_marked),
        cmocka_unit_test(other_text_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
