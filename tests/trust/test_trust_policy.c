/* The trust policy: which rule decides, and that nothing in its file is taken that it does not
 * mean. */
#include "trust_kit.h"

#include <time.h>

#include "trust/policy.h"

static void patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *model;
        bool fits;
    } cases[] = {
        {"*", "qwen2.5-coder:1.5b", true},
        {"qwen*", "qwen2.5-coder:1.5b", true},
        {"qwen2.5-coder", "qwen2.5-coder:1.5b", true},
        {"qwen2.5-coder:1.5b", "qwen2.5-coder:1.5b", true},
        {"*:1.5b", "qwen2.5-coder:1.5b", true},
        {"*:1?5b", "qwen2.5-coder:1.5b", true},
        {"*coder*:*", "qwen2.5-coder:1.5b", true},
        {"qwen2?5*", "qwen2.5-coder:x", true},
        {"a*b*c", "aXbYc:t", true},
        {"a*b*c", "abbc:t", true},
        {"qwen", "qwen2.5-coder:1.5b", false},
        {"*:0.5b", "qwen2.5-coder:1.5b", false},
        {"1.5b", "qwen2.5-coder:1.5b", false},
        {"*5b", "qwen2.5-coder:1.5b", false}, /* the tag is not looked at */
        {"?", "ab:c", false},
        {"??", "ab:c", true},
        {"acme-*", "acme:x", false},
        {"", "a:b", false},
        {"*:", "a:b", false},
        {"a*b*c", "aXcYb:t", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (policy_pattern_fits(cases[i].pattern, cases[i].model) != cases[i].fits)
            fail_msg("%s and %s", cases[i].pattern, cases[i].model);
    assert_true(policy_pattern_valid("qwen*:1.?b"));
    assert_false(policy_pattern_valid(""));
    assert_false(policy_pattern_valid("Qwen"));
    assert_false(policy_pattern_valid("a b"));
    assert_false(policy_pattern_valid("[a]"));
}

/* The product of the lengths bounds the time: what takes other matchers exponentially long. */
static void hostile_pattern(void **state)
{
    (void)state;
    char pattern[130], model[130];
    for (int i = 0; i < 128; i++) {
        pattern[i] = i % 2 ? '*' : 'a';
        model[i] = 'a';
    }
    pattern[128] = 'b';
    pattern[129] = model[128] = 0;
    clock_t before = clock();
    for (int i = 0; i < 1000; i++) assert_false(policy_pattern_fits(pattern, model));
    assert_true(clock() - before < CLOCKS_PER_SEC);
}

static char *policy_text(const struct kit_key *keys, const char *rest)
{
    char pem[1024] = "", *text;
    for (size_t i = 0, n = 0; keys[0].public_text[i]; i++)
        n +=
            (size_t)snprintf(pem + n, sizeof pem - n, keys[0].public_text[i] == '\n' ? "\\n" : "%c",
                             keys[0].public_text[i]);
    const char *line = strchr(keys[KIT_MINISIGN].public_text, '\n') + 1;
    assert_true(asprintf(&text,
                         "{\"version\": 1, \"keys\": {\"acme\": \"%s\", \"jo\": \"%.*s\"}%s}", pem,
                         (int)strcspn(line, "\n"), line, rest) > 0);
    return text;
}

static void most_specific_rule(void **state)
{
    struct policy p;
    struct error err = {0};
    char *text = policy_text(
        *state,
        ", \"unsigned\": \"warn\", \"files\": \"refuse\", \"rules\": ["
        "{\"models\": [\"acme-*\", \"x\"], \"keys\": [\"acme\"]},"
        "{\"models\": [\"*\"], \"unsigned\": \"warn\"},"
        "{\"models\": [\"acme-test*\"], \"keys\": [\"acme\", \"jo\"], \"unsigned\": \"allow\"}]");
    if (policy_parse(text, strlen(text), "p", &p, &err) != OK) fail_msg("%s", err.msg);
    assert_true(p.there);
    assert_int_equal(p.unsigned_models, POLICY_WARN);
    assert_int_equal(p.files, POLICY_REFUSE);
    assert_ptr_equal(policy_rule_for(&p, "acme-big:7b"), &p.rules[0]);
    assert_ptr_equal(policy_rule_for(&p, "x:y"), &p.rules[0]);
    assert_ptr_equal(policy_rule_for(&p, "other:y"), &p.rules[1]);
    assert_ptr_equal(policy_rule_for(&p, "acme-test:1"), &p.rules[2]);
    assert_int_equal(p.rules[0].unsigned_models, POLICY_REFUSE);
    assert_true(policy_rule_has_key(&p.rules[0], "acme"));
    assert_false(policy_rule_has_key(&p.rules[0], "jo"));
    assert_true(policy_rule_has_key(&p.rules[1], "jo")); /* no list: every key */
    assert_true(policy_rule_has_key(NULL, "jo"));
    assert_string_equal(policy_key_find(&p, "jo")->key.id,
                        ((struct kit_key *)*state)[KIT_MINISIGN].public.id);

    char *dir = kit_folder(), path[512];
    struct policy again;
    snprintf(path, sizeof path, "%s/trust.json", dir);
    assert_int_equal(policy_write(&p, path, &err), OK);
    assert_int_equal(policy_read(path, &again, &err), OK);
    assert_int_equal(again.n_keys, 2);
    assert_int_equal(again.n_rules, 3);
    assert_ptr_equal(policy_rule_for(&again, "acme-test:1"), &again.rules[2]);
    policy_fini(&again);
    kit_remove(dir);
    policy_fini(&p);
    free(text);
}

static void changes(void **state)
{
    struct policy p = {0};
    struct error err = {0};
    struct kit_key *keys = *state;
    static const char *const one[] = {"acme-*"}, *const acme[] = {"acme"},
                             *const none[] = {"nobody"}, *const bad[] = {"Up"};
    struct trust_key k;
    assert_int_equal(
        trust_key_parse_public(keys[1].public_text, strlen(keys[1].public_text), "k", &k, &err),
        OK);
    assert_int_equal(policy_add_key(&p, "Acme", &k, &err), ERR_INVALID);
    assert_int_equal(policy_add_key(&p, "acme", &k, &err), OK);
    assert_int_equal(policy_add_key(&p, "acme", &keys[0].public, &err),
                     ERR_INVALID); /* there already */
    assert_int_equal(policy_add_key(&p, "mine", &keys[0].secret, &err), ERR_INVALID);
    assert_int_equal(policy_add_rule(&p, one, 1, none, 1, POLICY_REFUSE, &err), ERR_INVALID);
    assert_int_equal(policy_add_rule(&p, bad, 1, acme, 1, POLICY_REFUSE, &err), ERR_INVALID);
    assert_int_equal(policy_add_rule(&p, one, 0, acme, 1, POLICY_REFUSE, &err), ERR_LIMIT);
    assert_int_equal(policy_add_rule(&p, one, 1, acme, 1, POLICY_REFUSE, &err), OK);
    assert_int_equal(policy_add_rule(&p, one, 1, NULL, 0, POLICY_ALLOW, &err),
                     ERR_INVALID); /* a rule is about it */
    assert_int_equal(p.n_rules, 1);
    assert_int_equal(policy_remove_key(&p, "acme", &err), ERR_INVALID);
    assert_int_equal(policy_remove_key(&p, "nobody", &err), ERR_NOT_FOUND);
    assert_int_equal(policy_remove_rule(&p, 1, &err), ERR_NOT_FOUND);
    assert_int_equal(policy_remove_rule(&p, 0, &err), OK);
    assert_int_equal(policy_remove_key(&p, "acme", &err), OK);
    assert_int_equal(p.n_keys, 0);
    policy_fini(&p);
}

static void no_file_and_broken_files(void **state)
{
    (void)state;
    struct policy p;
    struct error err = {0};
    char *dir = kit_folder(), path[512];
    snprintf(path, sizeof path, "%s/trust.json", dir);
    assert_int_equal(policy_read(path, &p, &err), OK);
    assert_false(p.there);
    assert_null(policy_rule_for(&p, "a:b"));
    policy_fini(&p);
    kit_make_folder(dir, "trust.json"); /* cannot be read: no reason to allow anything */
    assert_int_not_equal(policy_read(path, &p, &err), OK);
    kit_remove(dir);
}

static void what_is_not_understood(void **state)
{
    static const char *const rests[] = {
        ", \"rule\": []",
        ", \"rules\": {}",
        ", \"rules\": [1]",
        ", \"rules\": [{}]",
        ", \"rules\": [{\"models\": []}]",
        ", \"rules\": [{\"models\": [\"*\"], \"keys\": []}]",
        ", \"rules\": [{\"models\": [\"*\"], \"keys\": [\"nobody\"]}]",
        ", \"rules\": [{\"models\": [\"*\"], \"unsigned\": \"Refuse\"}]",
        ", \"rules\": [{\"models\": [\"*\"], \"unsigned\": 1}]",
        ", \"rules\": [{\"models\": [\"*\"], \"unsinged\": \"allow\"}]",
        ", \"rules\": [{\"models\": \"*\"}]",
        ", \"rules\": [{\"models\": [\"a\", 1]}]",
        ", \"rules\": [{\"models\": [\"a\"]}, {\"models\": [\"a\"]}]",
        ", \"rules\": [{\"models\": [\"a/../\\u0000\"]}]",
        ", \"unsigned\": \"refused\"",
        ", \"files\": true",
        ", \"version\": 1",
        ", \"keys\": {}",
        "} {",
        ", ",
    };
    struct policy p;
    struct error err = {0};
    char *good = policy_text(*state, "");
    assert_int_equal(policy_parse(good, strlen(good), "p", &p, &err), OK);
    policy_fini(&p);
    for (size_t i = 0; i < sizeof rests / sizeof rests[0]; i++) {
        char *text = policy_text(*state, rests[i]);
        if (policy_parse(text, strlen(text), "p", &p, &err) == OK) fail_msg("taken: %s", rests[i]);
        free(text);
    }
    static const char *const from[] = {"\"version\": 1", "\"version\": 1", "\"version\": 1",
                                       "BEGIN PUBLIC",   "\"acme\"",       "\"jo\": \"RW"};
    static const char *const to[] = {"\"version\": 2", "\"version\": \"1\"", "\"versions\": 1",
                                     "BEGIN PRIVATE",  "\"ACME\"",           "\"jo\": \"RX"};
    for (size_t i = 0; i < sizeof from / sizeof from[0]; i++) {
        char *text = kit_replace(good, from[i], to[i]);
        if (policy_parse(text, strlen(text), "p", &p, &err) == OK) fail_msg("taken: %s", to[i]);
        free(text);
    }
    /* Cut anywhere, it is not one; and a bit changed is one or is not, without harm. */
    for (size_t n = 0; n < strlen(good); n++)
        assert_int_not_equal(policy_parse(good, n, "p", &p, &err), OK);
    for (size_t bit = 0; bit < 8 * strlen(good); bit += 3) {
        char *text = strdup(good);
        text[bit / 8] ^= (char)(1 << bit % 8);
        if (policy_parse(text, strlen(good), "p", &p, &err) == OK) policy_fini(&p);
        free(text);
    }
    free(good);
}

static int set_up(void **state)
{
    *state = kit_keys();
    return 0;
}

static int tear_down(void **state)
{
    kit_keys_drop(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns),
        cmocka_unit_test(hostile_pattern),
        cmocka_unit_test(most_specific_rule),
        cmocka_unit_test(changes),
        cmocka_unit_test(no_file_and_broken_files),
        cmocka_unit_test(what_is_not_understood),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
