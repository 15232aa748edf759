/* Modelfiles: what they say, where they are at fault, and that printing one reads back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "store/modelfile.h"
#include "store/settings.h"

static json_t *parse(const char *text)
{
    struct modelfile m;
    struct error err = {0};
    if (modelfile_parse(text, strlen(text), "M", &m, &err) != OK) fail_msg("%s: %s", text, err.msg);
    json_t *s = json_incref(m.settings);
    json_object_set_new(s, "from", json_string(m.from));
    modelfile_fini(&m);
    return s;
}

static void says(const char *text, const char *json)
{
    json_t *got = parse(text), *want = json_loads(json, 0, NULL);
    assert_non_null(want);
    if (!json_equal(got, want)) fail_msg("%s gave %s", text, json_dumps(got, JSON_COMPACT));
    json_decref(got);
    json_decref(want);
}

static void test_values(void **state)
{
    (void)state;
    says("FROM a", "{\"from\": \"a\"}");
    says("\xef\xbb\xbf  from  a b \t\n", "{\"from\": \"a b\"}");
    says("FROM a\n# SYSTEM no\n  # nor this\nSYSTEM yes # not a comment",
         "{\"from\": \"a\", \"system\": \"yes # not a comment\"}");
    says("FROM a\nSYSTEM \"\"\"one\n\n  two \"\"\"  \n",
         "{\"from\": \"a\", \"system\": \"one\\n\\n  two \"}");
    says("FROM a\nSYSTEM \"one\ntwo\"", "{\"from\": \"a\", \"system\": \"one\\ntwo\"}");
    says("FROM a\nSYSTEM \"say \"hi\"\"", "{\"from\": \"a\", \"system\": \"say \\\"hi\\\"\"}");
    says("FROM a\nSYSTEM \"\"\"a \"\"\" b\"\"\"",
         "{\"from\": \"a\", \"system\": \"a \\\"\\\"\\\" b\"}");
    says("FROM a\nSYSTEM \"\"\n", "{\"from\": \"a\", \"system\": \"\"}");
    says("FROM a\nSYSTEM \nTEMPLATE t", "{\"from\": \"a\", \"system\": \"\", \"template\": \"t\"}");
    says("FROM a\r\nSYSTEM x\r\n\r\nTEMPLATE y\r",
         "{\"from\": \"a\", \"system\": \"x\", \"template\": \"y\"}");
    says("FROM a\nPARAMETER top_k 5\nparameter stop \" x \"\nPARAMETER stop y\nPARAMETER use_mmap "
         "true\nPARAMETER temperature .5",
         "{\"from\": \"a\", \"parameters\": {\"top_k\": 5, \"stop\": [\" x \", \"y\"], "
         "\"use_mmap\": true, \"temperature\": 0.5}}");
    says("FROM a\nMESSAGE User hi: you\nMessage assistant \"\"\"x\ny\"\"\"",
         "{\"from\": \"a\", \"messages\": [{\"role\": \"user\", \"content\": \"hi: you\"}, "
         "{\"role\": \"assistant\", \"content\": \"x\\ny\"}]}");
    says("FROM a\nADAPTER x\nADAPTER y\nLICENSE 1\nLICENSE 2\nREQUIRES v0.5",
         "{\"from\": \"a\", \"adapters\": [\"x\", \"y\"], \"license\": [\"1\", \"2\"], "
         "\"requires\": \"0.5\"}");
}

static void test_notes(void **state)
{
    (void)state;
    static const char text[] = "FROM a\nPARAMETER num_gpu 1\nRENDERER x\nPARSER y\n";
    struct modelfile m;
    assert_int_equal(modelfile_parse(text, sizeof text - 1, "M", &m, NULL), OK);
    assert_string_equal(
        m.notes.data,
        "line 2: PARAMETER num_gpu has no effect here\n"
        "line 3: RENDERER has no effect here: the model file's own chat template is used\n"
        "line 4: PARSER has no effect here: the model file's own chat template is used\n");
    modelfile_fini(&m);
}

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } faults[] = {
        {"", "no FROM"},
        {"SYSTEM a", "no FROM"},
        {"FROM a\nFOO b", "M, line 2: a line begins with"},
        {"FROM", "M, line 1: the command has no value"},
        {"FROM \n", "M, line 1: FROM needs"},
        {"FROM a\n\nSYSTEM \"\"\"x\n\n", "M, line 3: the quote"},
        {"FROM a\nSYSTEM \"x\n", "M, line 2: the quote"},
        {"FROM a\r\nPARAMETER top_k", "M, line 2: PARAMETER takes"},
        {"FROM a\nPARAMETER top_k 1.5", "M, line 2: top_k takes a whole number"},
        {"FROM a\nPARAMETER temperature nan", "M, line 2: temperature takes"},
        {"FROM a\nPARAMETER use_mmap maybe", "M, line 2: use_mmap takes"},
        {"FROM a\nPARAMETER nope 1", "M, line 2: there is no parameter 'nope'"},
        {"FROM a\nMESSAGE tool x", "M, line 2: MESSAGE takes"},
        {"FROM a\nMESSAGE user", "M, line 2: MESSAGE takes"},
        {"FROM a\nFROM b", "M, line 2: a second FROM"},
        {"FROM a\nREQUIRES x", "M, line 2: REQUIRES"},
        {"\xff\xfe", "UTF-16"},
        {"FROM a\nSYSTEM \xff", "M, line 2: the value is no UTF-8"},
        {"!", "M, line 1"},
        {"FROM: a", "M, line 1"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct modelfile m;
        struct error err = {0};
        assert_int_not_equal(modelfile_parse(faults[i].text, strlen(faults[i].text), "M", &m, &err),
                             OK);
        if (!strstr(err.msg, faults[i].words)) fail_msg("%s: %s", faults[i].text, err.msg);
        assert_null(m.from);
    }
    struct modelfile m;
    assert_int_equal(modelfile_parse("FROM a\0b", 8, "M", &m, NULL), ERR_FORMAT);
}

/* Random texts of the characters that matter: what can be printed reads back the same, and what
 * cannot is refused. */
static void test_round_trips(void **state)
{
    (void)state;
    static const char *const parts[] = {"\"",  "\"\"\"", "\n",       "\r\n",     " ",  "\t", "a",
                                        "# x", "FROM ",  "{{ .P }}", "\xc3\xa9", "\\", "'"};
    unsigned seed = 1;
    size_t printed = 0, refused = 0;
    for (int round = 0; round < 20000; round++) {
        char text[256] = "";
        for (unsigned n = seed % 6; n; n--) {
            seed = seed * 1103515245u + 12345u;
            strcat(text, parts[(seed >> 16) % (sizeof parts / sizeof parts[0])]);
        }
        seed = seed * 1103515245u + 12345u + (unsigned)round;
        json_t *s = json_pack("{s:s, s:{s:[s], s:f}, s:[{s:s, s:s}], s:[s]}", "system", text,
                              "parameters", "stop", text, "temperature", 0.1, "messages", "role",
                              "user", "content", text, "license", text);
        struct buf out;
        struct error err = {0};
        buf_init(&out, 1 << 20);
        if (modelfile_print("m", s, &out, &err) == OK) {
            json_t *again = parse(out.data);
            json_object_del(again, "from");
            if (!json_equal(again, s)) fail_msg("not the same:\n%s", out.data);
            json_decref(again);
            printed++;
        } else {
            assert_int_equal(err.code, ERR_UNSUPPORTED);
            assert_int_equal(out.len, 0);
            refused++;
        }
        buf_fini(&out);
        json_decref(s);
    }
    assert_true(printed > 15000 && refused > 0);
}

static void test_settings(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[]",
        "{\"nope\": 1}",
        "{\"system\": 1}",
        "{\"parameters\": []}",
        "{\"parameters\": {\"top_k\": 1.5}}",
        "{\"parameters\": {\"top_p\": 2}}",
        "{\"parameters\": {\"stop\": \"x\"}}",
        "{\"messages\": [{\"role\": \"tool\", \"content\": \"\"}]}",
        "{\"messages\": [{\"role\": \"user\"}]}",
        "{\"license\": \"x\"}",
        "{\"adapters\": [\"x\"]}",
        "{\"parameters\": {\"typical_p\": 0.5}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *j = json_loads(bad[i], 0, NULL);
        struct error err = {0};
        if (settings_check(j, &err) == OK || !err.msg[0]) fail_msg("%s passed", bad[i]);
        json_decref(j);
    }
    json_t *base =
        json_loads("{\"system\": \"a\", \"parameters\": {\"top_k\": 1, \"seed\": 2}}", 0, NULL);
    json_t *over = json_loads("{\"template\": \"t\", \"parameters\": {\"top_k\": 3}}", 0, NULL);
    json_t
        *both = settings_merge(base, over),
        *want = json_loads(
            "{\"system\": \"a\", \"template\": \"t\", \"parameters\": {\"top_k\": 3, \"seed\": 2}}",
            0, NULL);
    assert_true(json_equal(both, want));
    json_decref(base), json_decref(over), json_decref(both), json_decref(want);
    char *huge = malloc(1 << 20);
    memset(huge, 'x', (1 << 20) - 1);
    huge[(1 << 20) - 1] = 0;
    json_t *large = json_pack("{s:s}", "system", huge);
    assert_int_equal(settings_check(large, NULL), ERR_LIMIT);
    json_decref(large);
    free(huge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),   cmocka_unit_test(test_notes),
        cmocka_unit_test(test_faults),   cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
