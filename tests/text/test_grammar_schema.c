/* JSON schemas as grammars: instances that each must take or refuse, and what cannot be compiled. The
 * specification's own suite is run by tests/tools/json_schema_suite.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/grammar.h"

static bool takes(struct grammar *g, const char *text)
{
    struct grammar_state *s;
    struct error err;
    assert_int_equal(grammar_state_create(g, &s, &err), OK);
    bool good = grammar_accept_bytes(s, text, strlen(text), &err) == OK && grammar_is_complete(s);
    grammar_state_destroy(s);
    return good;
}

/* Instances: "+text" is valid, "-text" is not. */
static const struct {
    const char *schema;
    const char *of[14];
} all[] = {
    {"true", {"+1", "+{\"a\":[]}", "-x"}},
    {"{\"type\":\"integer\"}", {"+1", "+-3", "+1.0", "+1e2", "-1.5", "-01", "-\"1\""}},
    {"{\"type\":\"integer\",\"minimum\":-5,\"exclusiveMaximum\":120}",
     {"+-5", "+119", "+0", "+-0", "+99", "+7.0", "--6", "-120", "-1000", "--50", "-119.5"}},
    {"{\"type\":\"number\",\"minimum\":0.5,\"maximum\":12.25}",
     {"+0.5", "+0.50", "+0.51", "+12.25", "+12.2", "+12", "+9.999", "-0.49", "-12.251", "-13", "-0", "--1", "-100"}},
    {"{\"type\":\"number\",\"exclusiveMinimum\":0}", {"+0.0001", "+5", "-0", "-0.0", "--0", "--1"}},
    {"{\"type\":\"number\",\"maximum\":-0.05}", {"+-0.05", "+-0.1", "+-3", "--0.049", "-0", "-1", "--0"}},
    {"{\"type\":\"number\",\"multipleOf\":0.25}", {"+0.25", "+1", "+1.50", "+-7.75", "-0.3", "-0.1", "-1.125"}},
    {"{\"type\":\"integer\",\"multipleOf\":15}", {"+0", "+15", "+-300", "+30.0", "-14", "-31"}},
    {"{\"const\":1.5e10}", {"+15000000000", "+15000000000.0", "+1.5e10", "+1.5e+10", "+1.5E010", "-1.5e9", "-1.5"}},
    {"{\"enum\":[\"a\",1,null,[1,{\"b\":2}]]}", {"+\"a\"", "+1.0", "+null", "+[1, {\"b\": 2}]", "-[1]", "-[1,{\"b\":2,\"c\":3}]", "-\"b\""}},
    {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
     {"+\"ab\"", "+\"\\u00e9\\n\"", "+\"\xF0\x9F\x98\x80\\ud83d\\ude00x\"", "-\"a\"", "-\"abcd\"", "-\"\\ud83d\\ude00\""}},
    {"{\"type\":\"string\",\"pattern\":\"^a+$|b\"}", {"+\"aaa\"", "+\"xbx\"", "+\"b\"", "-\"aac\"", "-\"\""}},
    {"{\"type\":\"string\",\"format\":\"date\"}", {"+\"2024-02-29\"", "-\"2023-02-29\"", "-\"2024-13-01\"", "+\"2000-02-29\"", "-\"1900-02-29\""}},
    {"{\"type\":\"string\",\"format\":\"uuid\"}", {"+\"123e4567-e89b-12d3-a456-426614174000\"", "-\"123e4567\""}},
    {"{\"type\":\"string\",\"format\":\"ipv6\"}", {"+\"::1\"", "+\"2001:db8::1:0\"", "+\"::ffff:1.2.3.4\"", "-\"1::2::3\"", "-\"1:2:3\""}},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{}},\"required\":[\"a\"],\"additionalProperties\":false}",
     {"+{\"a\":1}", "+{\"b\":[],\"a\":1}", "+{ \"a\" : 1 , \"b\" : 2 }", "-{\"b\":1}", "-{}", "-{\"a\":1,\"c\":1}", "-{\"a\":1,\"a\":1}", "-{\"a\":\"x\"}", "-{\"a\":1,}"}},
    {"{\"type\":\"object\",\"properties\":{\"ab\":{\"type\":\"null\"}},\"additionalProperties\":{\"type\":\"integer\"}}",
     {"+{\"ab\":null,\"abc\":1,\"a\":2}", "-{\"ab\":1}", "-{\"\\u0061b\":1}", "-{\"abc\":null}", "+{\"\":3}"}},
    {"{\"type\":\"object\",\"patternProperties\":{\"^n\":{\"type\":\"integer\"},\"s$\":{\"minimum\":3}},\"additionalProperties\":false}",
     {"+{\"n\":1}", "+{\"ns\":4}", "-{\"ns\":2}", "-{\"ns\":\"x\"}", "+{\"s\":\"x\"}", "-{\"q\":1}"}},
    {"{\"type\":\"object\",\"propertyNames\":{\"maxLength\":2},\"maxProperties\":2}", {"+{\"ab\":1,\"b\":2}", "-{\"abc\":1}", "-{\"a\":1,\"b\":2,\"c\":3}"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{},\"c\":{}},\"additionalProperties\":false,\"minProperties\":2}",
     {"+{\"a\":1,\"c\":2}", "-{\"a\":1}", "+{\"c\":1,\"b\":2,\"a\":3}"}},
    {"{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"items\":{\"type\":\"null\"},\"minItems\":1,\"maxItems\":4}",
     {"+[1]", "+[1,\"a\"]", "+[1, \"a\", null, null]", "-[]", "-[1,2]", "-[1,\"a\",null,null,null]", "-[1,]"}},
    {"{\"type\":\"array\",\"contains\":{\"type\":\"string\"},\"minContains\":2,\"maxContains\":3}",
     {"+[\"a\",1,\"b\"]", "-[\"a\"]", "-[\"a\",\"b\",\"c\",\"d\"]", "+[1,\"a\",\"b\",\"c\"]"}},
    {"{\"oneOf\":[{\"multipleOf\":3},{\"multipleOf\":5}],\"type\":\"integer\"}", {"+3", "+5", "-15", "-30", "-1", "+-9"}},
    {"{\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}],\"type\":\"object\"}", {"+{\"a\":1}", "+{\"x\":1,\"b\":1}", "-{\"a\":1,\"b\":2}", "-{}"}},
    {"{\"if\":{\"properties\":{\"k\":{\"const\":\"x\"}},\"required\":[\"k\"]},\"then\":{\"required\":[\"v\"]},\"else\":{\"maxProperties\":1},\"type\":\"object\"}",
     {"+{\"k\":\"x\",\"v\":1}", "-{\"k\":\"x\"}", "+{\"k\":\"y\"}", "-{\"k\":\"y\",\"z\":1}"}},
    {"{\"not\":{\"type\":[\"integer\",\"string\"]}}", {"+1.5", "-1", "-1.0", "-\"x\"", "+[]", "+null"}},
    {"{\"allOf\":[{\"minimum\":3},{\"maximum\":5}],\"anyOf\":[{\"type\":\"integer\"},{\"const\":4.5}]}", {"+3", "+4.5", "-2", "-4.25", "-6"}},
    {"{\"$defs\":{\"t\":{\"type\":\"object\",\"properties\":{\"l\":{\"$ref\":\"#/$defs/t\"},\"v\":{\"type\":\"integer\"}},\"required\":[\"v\"],\"additionalProperties\":false}},\"$ref\":\"#/$defs/t\"}",
     {"+{\"v\":1}", "+{\"v\":1,\"l\":{\"l\":{\"v\":3},\"v\":2}}", "-{\"v\":1,\"l\":{\"l\":{\"v\":\"\"},\"v\":2}}"}},
    {"{\"dependentRequired\":{\"a\":[\"b\"],\"c\":[\"d\"]}}", {"+{\"a\":1,\"b\":1}", "-{\"a\":1}", "-{\"b\":1,\"c\":1}", "+{}", "+3"}},
    {"{\"type\":\"array\",\"items\":false}", {"+[]", "-[1]"}},
};

static void instances(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct grammar *g;
        struct error err = {0};
        if (grammar_compile(GRAMMAR_JSON_SCHEMA, all[i].schema, strlen(all[i].schema), NULL, NULL, &g, &err) != OK)
            fail_msg("%s: %s", all[i].schema, err.msg);
        for (size_t k = 0; k < 14 && all[i].of[k]; k++)
            if (takes(g, all[i].of[k] + 1) != (all[i].of[k][0] == '+'))
                fail_msg("%s: %s", all[i].schema, all[i].of[k]);
        grammar_unref(g);
    }
}

static void refusals(void **unused)
{
    (void)unused;
    static const struct {
        const char *schema;
        enum status st;
        const char *says;
    } list[] = {
        {"{\"properties\":{\"a/b\":{\"uniqueItems\":true}}}", ERR_UNSUPPORTED, "uniqueItems at #/properties/a~1b/uniqueItems"},
        {"{\"items\":{\"unevaluatedProperties\":false}}", ERR_UNSUPPORTED, "#/items/unevaluatedProperties"},
        {"{\"$ref\":\"http://example.com/x\"}", ERR_UNSUPPORTED, "another document"},
        {"{\"$ref\":\"#/nowhere\"}", ERR_FORMAT, "names no schema"},
        {"{\"$ref\":\"#\"}", ERR_UNSUPPORTED, "refers to itself"},
        {"{\"anyOf\":[{\"type\":\"null\"},{\"$ref\":\"#\"}]}", ERR_UNSUPPORTED, "refers to itself"},
        {"{\"type\":\"float\"}", ERR_FORMAT, "#/type"},
        {"{\"minimum\":\"1\"}", ERR_FORMAT, "minimum"},
        {"{\"minLength\":-1}", ERR_FORMAT, "minLength"},
        {"{\"pattern\":\"(\"}", ERR_FORMAT, "pattern"},
        {"{\"pattern\":\"(?=a)\"}", ERR_UNSUPPORTED, "pattern"},
        {"{\"minProperties\":2}", ERR_UNSUPPORTED, "minProperties"},
        {"{\"allOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", ERR_INVALID, "nothing can match"},
        {"{\"required\":[\"a\"],\"type\":\"object\",\"properties\":{\"a\":false}}", ERR_INVALID, "nothing can match"},
        {"{\"type\":\"string\",\"format\":\"iri\"}", ERR_UNSUPPORTED, "format"},
        {"{\"$schema\":\"http://x.example/dialect\"}", ERR_UNSUPPORTED, "$schema"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}", ERR_INVALID, "nothing can match"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct grammar *g;
        struct error err = {0};
        enum status st = grammar_compile(GRAMMAR_JSON_SCHEMA, list[i].schema, strlen(list[i].schema), NULL, NULL, &g, &err);
        if (st != list[i].st || g || !strstr(err.msg, list[i].says)) fail_msg("%s: %d %s", list[i].schema, st, err.msg);
    }
}

/* Objects of many members do not need a state for each set of them. */
static void many_members(void **unused)
{
    (void)unused;
    char schema[40000], text[20000];
    char *p = stpcpy(schema, "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"p0\",\"p99\"],\"properties\":{"), *q = stpcpy(text, "{");
    for (int i = 0; i < 100; i++) p += sprintf(p, "%s\"p%d\":{\"const\":%d}", i ? "," : "", i, i);
    for (int i = 99; i >= 0; i--) q += sprintf(q, "%s\"p%d\":%d", i < 99 ? "," : "", i, i);
    strcpy(p, "}}");
    strcpy(q, "}");
    struct grammar *g;
    struct error err;
    assert_int_equal(grammar_compile(GRAMMAR_JSON_SCHEMA, schema, strlen(schema), NULL, NULL, &g, &err), OK);
    assert_true(takes(g, text));
    assert_true(takes(g, "{\"p99\":99,\"p0\":0}"));
    assert_false(takes(g, "{\"p99\":99}"));
    assert_false(takes(g, "{\"p99\":99,\"p0\":0,\"p99\":99}"));
    grammar_unref(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instances),
        cmocka_unit_test(refusals),
        cmocka_unit_test(many_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
