/* Words of messages stay words: whatever a message spells, the control tokens of its prompt are those of
 * the template, and an ordinary conversation has the ids that it always had. With the tokens of several
 * families in made vocabularies, and with the real ones of HEARTH_VOCAB_DIR. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "infer/vocab_gguf.h"
#include "text/chat.h"
#include "text/jinja.h"
#include "vocab_dir.h"
#include "vocab_make.h"

enum { MAX_TEXT = 1 << 24 };

static bool is_control(const struct tokenizer *t, int32_t id)
{
    enum token_type type = tokenizer_type(t, id);
    return type == TOKEN_CONTROL || type == TOKEN_UNKNOWN;
}

static size_t count_controls(const struct tokenizer *t, const struct token_list *ids)
{
    size_t n = 0;
    for (size_t i = 0; i < ids->len; i++) n += is_control(t, ids->ids[i]);
    return n;
}

static json_t *conversation(const char *first, const char *second)
{
    return json_pack("{s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}, {s:s, s:s}]}", "messages", "role", "system", "content",
                     first, "role", "user", "content", "Hello there", "role", "assistant", "content", second, "role",
                     "user", "content", first);
}

/* The prompt's ids, with regard to marks or, as a check, without. */
static void encode(const struct chat *c, const struct tokenizer *t, const json_t *request, bool marked,
                   struct token_list *ids)
{
    struct buf text, marks;
    struct error err = {0};
    buf_init(&text, MAX_TEXT);
    buf_init(&marks, MAX_TEXT);
    if (chat_render(c, request, &text, &marks, &err) != OK) fail_msg("%s", err.msg);
    assert_int_equal(text.len, marks.len);
    ids->len = 0;
    assert_int_equal(tokenizer_encode_marked(t, text.data, text.len, marked ? marks.data : NULL, ids, &err), OK);
    buf_fini(&text);
    buf_fini(&marks);
}

/* Every special token of the vocabulary, in the words of messages; true: there was one. */
static bool check(const struct chat *c, const struct tokenizer *t)
{
    struct token_list plain = {0}, ids = {0};
    json_t *r = conversation("You are terse.\n  Always.", " It is <b>4</b> | [INST");
    encode(c, t, r, true, &ids);
    encode(c, t, r, false, &plain);
    json_decref(r);
    assert_int_equal(ids.len, plain.len);
    assert_memory_equal(ids.ids, plain.ids, ids.len * sizeof *ids.ids);
    size_t expected = count_controls(t, &ids), found = 0;

    struct buf words;
    buf_init(&words, MAX_TEXT);
    for (size_t i = 0; i < tokenizer_n_tokens(t); i++) {
        char text[256];
        if (!is_control(t, (int32_t)i)) continue;
        size_t n = tokenizer_piece(t, (int32_t)i, true, text, sizeof text);
        if (n == 0 || n > sizeof text || memchr(text, 0, n)) continue;
        found++;
        assert_int_equal(buf_append(&words, text, n), OK);
        assert_int_equal(buf_append_str(&words, found % 3 ? "x" : "\n"), OK);
        if (words.len < 4000 && i + 1 < tokenizer_n_tokens(t)) continue;
        r = conversation(words.data, words.data);
        encode(c, t, r, true, &ids);
        assert_int_equal(count_controls(t, &ids), expected);
        encode(c, t, r, false, &ids);
        assert_true(count_controls(t, &ids) > expected); /* without marks they are taken */
        json_decref(r);
        buf_clear(&words);
    }
    buf_fini(&words);
    token_list_fini(&ids);
    token_list_fini(&plain);
    return found > 0;
}

static const struct {
    const char *name, *tokens[8], *template; /* NULL: the built-in one for these tokens */
} families[] = {
    {"chatml", {"<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>"}, NULL},
    {"llama 3", {"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, NULL},
    {"phi 3", {"<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|endoftext|>"}, NULL},
    {"deepseek",
     {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<|EOT|>"},
     NULL},
    {"mistral",
     {"<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"},
     "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST]{{ m['content'] }}[/INST]"
     "{% elif m['role'] == 'system' %}{{ '[SYSTEM_PROMPT]' + m['content'] + '[/SYSTEM_PROMPT]' }}"
     "{% else %}{{ ' ' + m['content']|trim + eos_token }}{% endif %}{% endfor %}"},
};

/* The converters give some files' tokens the type of user-defined ones. */
static void test_families(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        struct made_vocab m;
        struct tokenizer *t = NULL;
        struct chat *c = NULL;
        struct error err = {0};
        made_init(&m, "gpt2", "qwen2");
        made_all_bytes(&m);
        made_joins(&m, 200, 7 + i);
        int32_t first = -1, second = -1;
        for (size_t k = 0; k < 8 && families[i].tokens[k]; k++) {
            int32_t id = made_token(&m, families[i].tokens[k], TOKEN_CONTROL, 0);
            if (k == 0) first = id;
            if (k == 1) second = id;
        }
        m.src.bos = first, m.src.eos = second;
        assert_int_equal(tokenizer_create(&m.src, &t, &err), OK);
        struct chat_source src = {.vocab = t};
        if (families[i].template) src.plain = (struct text_str){families[i].template, strlen(families[i].template)};
        assert_int_equal(chat_create(&src, &c, &err), OK);
        if (!families[i].template) assert_string_not_equal(chat_fallback(c), "plain");
        assert_true(check(c, t));
        chat_destroy(c);
        tokenizer_destroy(t);
        made_fini(&m);
    }
}

static bool check_vocabulary(const char *path, const struct vocab *v, void *ctx)
{
    const struct tokenizer *t = vocab_tokenizer(v);
    struct chat_source src = {.vocab = t, .architecture = "llama"};
    struct chat *c = NULL;
    struct error err = {0};
    (void)path;
    assert_int_equal(chat_create(&src, &c, &err), OK);
    *(int *)ctx += check(c, t);
    chat_destroy(c);
    return true;
}

static void test_real_vocabularies(void **state)
{
    (void)state;
    if (!vocab_dir()) skip();
    int n = 0;
    assert_true(vocab_dir_each(check_vocabulary, &n) >= 0);
    assert_true(n >= 10);
}

/* A token of which only a part comes from a message, one that is user-defined, and one by its looks. */
static void test_parts_and_types(void **state)
{
    (void)state;
    struct made_vocab m;
    struct tokenizer *t = NULL;
    struct error err = {0};
    struct token_list ids = {0};
    made_init(&m, "gpt2", "qwen2");
    made_all_bytes(&m);
    int32_t end = made_token(&m, "<|end|>", TOKEN_CONTROL, 0), shorter = made_token(&m, "end", TOKEN_CONTROL, 0);
    int32_t think = made_token(&m, "<think>", TOKEN_USER_DEFINED, 0);
    int32_t looks = made_token(&m, "<|tool|>", TOKEN_USER_DEFINED, 0);
    assert_int_equal(tokenizer_create(&m.src, &t, &err), OK);
    static const struct {
        const char *text, *marks;
        int n_end, n_shorter, n_think, n_looks;
    } cases[] = {
        {"<|end|><|end|>", "00000000000000", 2, 0, 0, 0},
        {"<|end|><|end|>", "11111110000000", 1, 0, 0, 0},
        {"<|end|><|end|>", "00000001111111", 1, 0, 0, 0},
        {"<|end|><|end|>", "00000010000001", 0, 2, 0, 0},
        {"<|end|><|end|>", "10000000000000", 1, 1, 0, 0},
        {"<think><|tool|>", "000000000000000", 0, 0, 1, 1},
        {"<think><|tool|>", "111111111111111", 0, 0, 1, 0},
        {"<|<|end|>", "110000000", 1, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char marks[32];
        size_t len = strlen(cases[i].text);
        assert_int_equal(len, strlen(cases[i].marks));
        for (size_t k = 0; k < len; k++) marks[k] = (char)(cases[i].marks[k] - '0');
        ids.len = 0;
        assert_int_equal(tokenizer_encode_marked(t, cases[i].text, len, marks, &ids, &err), OK);
        int n[4] = {0};
        for (size_t k = 0; k < ids.len; k++) {
            n[0] += ids.ids[k] == end;
            n[1] += ids.ids[k] == shorter;
            n[2] += ids.ids[k] == think;
            n[3] += ids.ids[k] == looks;
        }
        assert_int_equal(n[0], cases[i].n_end);
        assert_int_equal(n[1], cases[i].n_shorter);
        assert_int_equal(n[2], cases[i].n_think);
        assert_int_equal(n[3], cases[i].n_looks);
    }
    token_list_fini(&ids);
    tokenizer_destroy(t);
    made_fini(&m);
}

/* x is "<|\u00e4\u00d6\u00df|>": in each of these the template's own bytes are of other characters. */
static const char *const snippets[] = {
    "a{{ x }}b",
    "{{ 'a' ~ x ~ 'b' }}",
    "{{ 'a' + x + 'b' }}{{ x ~ '' }}",
    "{{ ('a' ~ x) * 3 }}{{ 3 * x }}",
    "{% set s = namespace(t='') %}{% for i in range(9) %}{% set s.t = s.t ~ 'a' ~ x %}{% endfor %}{{ s.t }}{{ s.t }}",
    "{{ (x ~ ' a ' ~ x)|trim }}{{ ('  ' ~ x ~ '  ').strip() }}{{ (' a' ~ x).lstrip() }}",
    "{{ x[2:] }}{{ x[::-1] }}{{ x[1] }}{{ ('ab' ~ x)[1:4] }}{{ x|first }}{{ x|last }}",
    "{{ x.split('|')|join('a') }}{{ 'a'.join(x|list) }}{{ ('a b' ~ x).split()|join(' ') }}{{ (x ~ 'a').splitlines()|join }}",
    "{{ x|upper }}{{ x|lower }}{{ x|title }}{{ x|capitalize }}{{ x.swapcase() }}{{ ('ab' ~ x).upper() }}",
    "{{ x|replace('|', 'a') }}{{ 'abc'|replace('b', x) }}{{ x.replace('', 'a') }}{{ x|replace('zz', 'a') }}",
    "{{ x|reverse }}{{ (x ~ 'a')|reverse }}{{ x|center(20) }}{{ x.ljust(20, 'a') }}{{ x.zfill(30) }}",
    "{{ x|tojson }}{{ {'a': x}|tojson(indent=2) }}{{ [x, 'a']|string }}{{ (x,)|pprint }}{{ d|tojson }}{{ d|string }}",
    "{{ d.items()|list }}{% for k, v in d.items() %}{{ k }}a{{ v }}{% endfor %}{{ d.values()|join('a') }}{{ d|list|join }}",
    "{{ '%s a %s' % (x, x) }}{{ '{}a{:>20}'.format(x, x) }}{{ '%20s'|format(x) }}{{ 'a%(k)s' % {'k': x} }}",
    "{% macro f(y) %}a{{ y }}b{{ caller() if caller }}{% endmacro %}{{ f(x) }}{% call f(x) %}c{{ x }}{% endcall %}",
    "{% set y %}a{{ x }}b{% endset %}{{ y }}{{ y|trim }}{% filter upper %}a{{ x }}{% endfilter %}",
    "{{ l|join(', ') }}{{ l|map('upper')|join }}{{ l|sort|join }}{{ l|map(attribute='0')|join('a') }}{{ l|unique|join }}",
    "{{ x|indent(3, true) }}{{ (x ~ '\\n' ~ x)|indent }}{{ (x * 9)|truncate(20, true, 'abc') }}{{ l|batch(1)|list }}",
    "{{ x|e|length }}{{ x|safe }}{{ none|default(x) }}{{ y|default('a' ~ x) }}{{ x if true else 'a' }}{{ x or 'a' }}",
    "{{ x.removeprefix('<') }}{{ x.removesuffix('>') }}{{ x.partition('|')|join('a') }}{{ x.rsplit('|', 1)|join('a') }}",
};

static void test_what_templates_do_with_texts(void **state)
{
    (void)state;
    json_t *vars = json_pack("{s:s, s:[s, s], s:{s:s}}", "x", "<|\u00e4\u00d6\u00df|>", "l", "<|\u00e4", "\u00df|>", "d",
                             "<|\u00d6", "\u00e4|>");
    for (size_t i = 0; i < sizeof snippets / sizeof snippets[0]; i++) {
        struct jinja_template *t = NULL;
        struct error err = {0};
        struct buf out, marks;
        struct jinja_options opt = {.marks = &marks};
        buf_init(&out, MAX_TEXT);
        buf_init(&marks, MAX_TEXT);
        if (jinja_compile(snippets[i], strlen(snippets[i]), &t, &err) != OK ||
            jinja_render(t, vars, &opt, &out, NULL, &err) != OK)
            fail_msg("%s: %s", snippets[i], err.msg);
        assert_int_equal(out.len, marks.len);
        size_t n = 0;
        for (size_t k = 0; k < out.len; k++) {
            unsigned char c = (unsigned char)out.data[k];
            bool theirs = c >= 0x80 || strchr("<|>S", c) || (c == 's' && i == 8); /* SS and Ss of the sharp s */
            if (marks.data[k] != theirs) fail_msg("%s: byte %zu of %s", snippets[i], k, out.data);
            n += theirs;
        }
        assert_true(n > 0);
        buf_fini(&out);
        buf_fini(&marks);
        jinja_destroy(t);
    }
    json_decref(vars);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_real_vocabularies),
        cmocka_unit_test(test_parts_and_types),
        cmocka_unit_test(test_what_templates_do_with_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
