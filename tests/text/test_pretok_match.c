/* Expressions as published tokenizer.json files spell them, and the registry's names for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "text/pretok.h"

#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define TAIL        "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const char *recognise(const char *const *patterns, bool ignore_merges, const char *preferred)
{
    size_t n = 0;
    while (patterns[n]) n++;
    const struct pretok_family *f = pretok_recognise(patterns, n, ignore_merges, preferred);
    return f ? f->name : "(none)";
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void published(void **unused)
{
    (void)unused;
    assert_string_equal(
        recognise(LIST(CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" TAIL),
                  false, NULL), "qwen2");
    const char *llama3 = CONTRACTION
        "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" TAIL;
    assert_string_equal(recognise(LIST(llama3), true, NULL), "llama-bpe");
    assert_string_equal(recognise(LIST(llama3), false, NULL), "dbrx");
    assert_string_equal(recognise(LIST(llama3), true, "glm4"), "glm4");
    assert_string_equal(recognise(LIST(llama3), true, "qwen2"), "llama-bpe"); /* cuts otherwise */
    assert_string_equal(recognise(LIST("\\p{N}", pretok_byte_level), false, NULL), "starcoder");
    assert_string_equal(recognise(LIST("\\p{N}", pretok_byte_level), false, "refact"), "refact");
    assert_string_equal(recognise(LIST("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
                                       "\\s+(?!\\S)|\\s+"), false, NULL), "gpt-2");
    assert_string_equal(recognise(LIST("[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+",
                                       "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+", "\\p{N}"),
                                  false, NULL), "deepseek-coder");
    assert_string_equal(
        recognise(LIST(CONTRACTION "|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\r\n]+|"
                       "\\s*[\r\n]+|\\s+(?!\\S)|\\s+"), false, NULL), "seed-coder");
    assert_string_equal(
        recognise(LIST("'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|"
                       "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"), false, NULL), "bailingmoe");
}

static void others(void **unused)
{
    (void)unused;
    assert_null(pretok_recognise(NULL, 0, false, NULL));
    assert_string_equal(recognise(LIST("\\w+"), false, "qwen2"), "(none)");
    assert_string_equal(recognise(LIST("\\p{N}"), false, NULL), "(none)"); /* a family's first only */
    assert_string_equal(recognise(LIST("\\p{N}", pretok_byte_level, "\\p{N}"), false, NULL), "(none)");
    assert_string_equal(recognise(LIST("\xFF"), false, NULL), "(none)");
    assert_string_equal(recognise(LIST("\\"), false, NULL), "(none)");
    assert_string_equal(recognise(LIST(""), false, NULL), "(none)");
    static char endless[20000];
    memset(endless, 'a', sizeof endless - 1);
    assert_string_equal(recognise(LIST(endless), false, NULL), "(none)");
}

/* Every family is found by its own expressions, under its name where that is preferred. */
static void all_of_the_registry(void **unused)
{
    (void)unused;
    const struct pretok_family *f;
    for (size_t i = 0; (f = pretok_at(i)); i++)
        assert_string_equal(recognise(f->patterns, f->ignore_merges, f->name), f->name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published),
        cmocka_unit_test(others),
        cmocka_unit_test(all_of_the_registry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
