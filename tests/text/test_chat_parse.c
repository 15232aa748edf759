/* Parsers of what models say: known answers, each cut at every byte, and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "text/chat_parse.h"

/* What came out: raw bytes, and a line of it for people: T(text) R(reasoning) C(name:arguments). */
struct heard {
    struct buf raw, line;
    enum chat_event_kind last;
};

static enum status hear(void *ctx, const struct chat_event *e)
{
    static const char *const begin[] = {"T(", "R(", "C(", "", "", ""};
    struct heard *h = ctx;
    buf_append(&h->raw, e->raw, e->raw_len);
    if (e->kind == CHAT_MARKUP) {
        assert_int_equal(e->text_len, 0);
        return OK;
    }
    bool goes_on = (e->kind == CHAT_TEXT || e->kind == CHAT_REASONING) && h->last == e->kind;
    if (goes_on) h->line.len--;
    if (!goes_on) buf_append_str(&h->line, begin[e->kind]);
    buf_append(&h->line, e->text, e->text_len);
    if (e->kind == CHAT_TEXT || e->kind == CHAT_REASONING) buf_append_str(&h->line, ")");
    if (e->kind == CHAT_CALL_BEGIN) buf_append_str(&h->line, ":");
    if (e->kind == CHAT_CALL_END) buf_append_str(&h->line, e->complete ? ")" : "...)");
    h->last = e->kind;
    return OK;
}

/* Fed in pieces that end at `cut`, or byte by byte where cut is 0. */
static void listen(const char *syntax, const char *prompt, const char *text, size_t len, size_t cut, struct heard *h)
{
    struct chat_parser *p;
    buf_init(&h->raw, 1 << 24);
    buf_init(&h->line, 1 << 24);
    h->last = CHAT_MARKUP;
    assert_non_null(chat_syntax_find(syntax));
    assert_int_equal(chat_parser_create(chat_syntax_find(syntax), true, prompt, strlen(prompt), hear, h, &p), OK);
    if (cut) {
        assert_int_equal(chat_parser_feed(p, text, cut), OK);
        assert_int_equal(chat_parser_feed(p, text + cut, len - cut), OK);
    }
    for (size_t i = 0; !cut && i < len; i++) assert_int_equal(chat_parser_feed(p, text + i, 1), OK);
    assert_int_equal(chat_parser_end(p), OK);
    chat_parser_destroy(p);
    assert_int_equal(h->raw.len, len);
    if (len) assert_memory_equal(h->raw.data, text, len);
}

static void forget(struct heard *h)
{
    buf_fini(&h->raw);
    buf_fini(&h->line);
}

static const struct {
    const char *syntax, *prompt, *text, *want;
} cases[] = {
    {"hermes", "", "Hello.", "T(Hello.)"},
    {"hermes", "", "a < b <tool", "T(a < b <tool)"},
    {"hermes", "", "{\n\"name\": \"f\",\n\"arguments\": {\"a\": 1}\n}", "C(f:{\"a\": 1})"},
    {"hermes", "", "```json\n{\n  \"name\": \"f\",\n  \"arguments\": {\"a\": 1}\n}\n```", "C(f:{\"a\": 1})"},
    {"hermes", "", "```\n{\"name\": \"f\", \"arguments\": {}}\n```\nDone ```x```", "C(f:{})T(Done ```x```)"},
    {"hermes", "", "```json\n{\"name\": \"f\", \"arguments\": {}}\n{\"name\": \"g\", \"arguments\": {}}\n```", "C(f:{})C(g:{})"},
    {"hermes", "", "```json\n{\"name\": \"f\", \"arguments\": {\"a\": ", "C(f:{\"a\": ...)"},
    {"hermes", "", "```json\n{\"a\": [{\"name\": 1}]}\n```", "T(```json\n{\"a\": [{\"name\": 1}]}\n```)"},
    {"hermes", "", "```json\n{\"name\": \"Ann\"}\n```", "T(```json\n{\"name\": \"Ann\"}\n```)"},
    {"hermes", "", "```python\n{}\n```", "T(```python\n{}\n```)"},
    {"hermes", "", "```jso", "T(```jso)"},
    {"hermes", "", "{\"city\": \"Rome\"}", "T({\"city\": \"Rome\"})"},
    {"hermes", "", "Like {\"name\": \"f\", \"arguments\": {}}", "T(Like {\"name\": \"f\", \"arguments\": {}})"},
    {"hermes", "<think>", "Hm.</think>\n\n{\"name\": \"f\", \"arguments\": {}}", "R(Hm.)T(\n\n)C(f:{})"},
    {"hermes", "", "<think>\nHm. é\n</think>\n\nYes.", "R(\nHm. é\n)T(\n\nYes.)"},
    {"hermes", "<|im_start|>assistant\n<think>\n", "Hm.</think>Yes", "R(Hm.)T(Yes)"},
    {"hermes", "", "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"}]\\\"\", \"b\": [1, {}]}}\n</tool_call>",
     "C(f:{\"a\": \"}]\\\"\", \"b\": [1, {}]})"},
    {"hermes", "", "Ok.\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":\"g\",\"arguments\":{\"x\":1}}</tool_call>",
     "T(Ok.\n)C(f:{})C(g:{\"x\":1})"},
    {"hermes", "", "<tool_call>{\"arguments\": {\"x\": 1}, \"name\": \"f\"}</tool_call> done", "C(f:{\"x\": 1})T(done)"},
    {"hermes", "", "<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": 1}, \"id\": {\"a\": \"}\"}}</tool_call>", "C(f:{\"x\": 1})"},
    {"hermes", "", "<tool_call>{\"name\": \"f\"}</tool_call>", "C(f:{})"},
    {"hermes", "", "<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": 1", "C(f:{\"x\": 1...)"},
    {"hermes", "", "<tool_call>{\"nam", "T(<tool_call>{\"nam)"},
    {"hermes", "", "<tool_call>nonsense</tool_call>", "T(<tool_call>nonsense</tool_call>)"},
    {"hermes", "", "<tool_call>{\"a\": 1}</tool_call>x", "T(<tool_call>{\"a\": 1}</tool_call>x)"},
    {"qwen-coder", "", "I look.\n<tool_call>\n<function=read>\n<parameter=path>\na \"b\".c\n</parameter>\n<parameter=n>\n3\n</parameter>\n</function>\n</tool_call>",
     "T(I look.\n)C(read:{\"path\": \"a \\\"b\\\".c\", \"n\": 3})"},
    {"qwen-coder", "", "<tool_call>\n<function=now>\n</function>\n</tool_call>\nend", "C(now:{})T(end)"},
    {"qwen-coder", "", "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>", "C(f:{})"},
    {"qwen-coder", "", "<function=now><parameter=a>[1, 2]</parameter></function>", "C(now:{\"a\": [1, 2]})"},
    {"qwen-coder", "", "<tool_call>\n<function=f>\n<parameter=a>\nx", "C(f:...)"},
    {"llama3", "", "{\"name\": \"f\", \"parameters\": {\"a\": 1}}", "C(f:{\"a\": 1})"},
    {"llama3", "", "\n {\"name\": \"f\", \"parameters\": {\"a\": 1}}; {\"name\": \"g\", \"parameters\": {}}", "T(\n )C(f:{\"a\": 1})C(g:{})"},
    {"llama3", "", "<|python_tag|>{\"type\": \"function\", \"name\": \"f\", \"parameters\": {}}", "C(f:{})"},
    {"llama3", "", "<function=f>{\"a\": 1}</function>", "C(f:{\"a\": 1})"},
    {"llama3", "", "{\"name\": \"Bob\"}", "T({\"name\": \"Bob\"})"},
    {"llama3", "", "{ x } is a set", "T({ x } is a set)"},
    {"llama3", "", "Say {\"name\": \"f\", \"parameters\": {}}", "T(Say {\"name\": \"f\", \"parameters\": {}})"},
    {"mistral", "", "[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"a\": 1}}, {\"name\": \"g\", \"arguments\": {}, \"id\": \"x\"}]",
     "C(f:{\"a\": 1})C(g:{})"},
    {"mistral", "", "Hi[TOOL_CALLS]f[ARGS]{\"a\": 1}[TOOL_CALLS]g[CALL_ID]12345[ARGS]{}", "T(Hi)C(f:{\"a\": 1})C(g:{})"},
    {"mistral", "", "[THINK]Hm[/THINK]Yes", "R(Hm)T(Yes)"},
    {"deepseek", "", "Look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\": 1}\n```<｜tool▁call▁end｜>\n"
     "<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "T(Look.)C(f:{\"a\": 1})C(g:{})"},
    {"deepseek", "<｜Assistant｜><think>\n", "Hm</think>x<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "R(Hm)T(x)C(f:{\"a\": 1})"},
    {"harmony", "<|start|>assistant", "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
     "R(Hm.)T(Yes.)"},
    {"harmony", "<|start|>assistant", "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"a\": 1}<|call|>",
     "R(Hm.)C(f:{\"a\": 1})"},
    {"harmony", "<|start|>assistant", "<|channel|>commentary<|message|>Plan.<|end|>", "T(Plan.)"},
    {"json", "", "{\"function\": {\"name\": \"f\", \"arguments\": {\"a\": 1}}, \"type\": \"function\"}", "C(f:{\"a\": 1})"},
    {"json", "", "{\"name\": \"f\", \"arguments\": \"text\"}", "C(f:\"text\")"},
    {"json", "", "[1, 2]", "T([1, 2])"},
    {"json", "", "", ""},
};

static void known_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = strlen(cases[i].text);
        for (size_t cut = 0; cut <= len; cut++) {
            struct heard h;
            listen(cases[i].syntax, cases[i].prompt, cases[i].text, len, cut, &h);
            const char *line = h.line.data ? h.line.data : "";
            if (h.line.len != strlen(cases[i].want) || memcmp(line, cases[i].want, h.line.len) != 0)
                fail_msg("%s, cut at %zu: %s\n  gives %.*s\n  wanted %s", cases[i].syntax, cut, cases[i].text,
                         (int)h.line.len, line, cases[i].want);
            forget(&h);
        }
    }
}

/* Pieces of all syntaxes in any order: nothing is lost, and the cut does not matter. */
static void any_text(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int round = 0; round < 4000; round++) {
        char text[2048];
        size_t len = 0;
        const struct chat_syntax *s = chat_syntax_at((size_t)round % 7);
        while (len < 400 && (seed = seed * 1664525 + 1013904223) >> 28) {
            const char *piece = cases[(seed >> 8) % (sizeof cases / sizeof cases[0])].text;
            size_t n = strlen(piece), from = n ? (seed >> 4) % n : 0, take = n - from < 40 ? n - from : 40;
            memcpy(text + len, piece + from, take);
            len += take;
        }
        struct heard whole, bytes;
        listen(chat_syntax_name(s), "", text, len, len ? len : 0, &whole);
        listen(chat_syntax_name(s), "", text, len, 0, &bytes);
        if (whole.line.len != bytes.line.len)
            fail_msg("%s: %.*s\n  at once %.*s\n  by bytes %.*s", chat_syntax_name(s), (int)len, text,
                     (int)whole.line.len, whole.line.data, (int)bytes.line.len, bytes.line.data);
        if (whole.line.len) assert_memory_equal(whole.line.data, bytes.line.data, whole.line.len);
        forget(&whole);
        forget(&bytes);
    }
}

static void syntaxes_are_recognised(void **state)
{
    (void)state;
    static const char *const marks[][2] = {
        {"{{ '<tool_call>' }}", "hermes"}, {"<tool_call> <parameter=x>", "qwen-coder"},
        {"<|start_header_id|>", "llama3"}, {"[TOOL_CALLS]", "mistral"}, {"<|channel|>", "harmony"},
        {"<｜Assistant｜>", "deepseek"}, {"nothing", "json"}, {"", "json"}};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        assert_string_equal(chat_syntax_name(chat_syntax_for(marks[i][0], strlen(marks[i][0]))), marks[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(any_text),
        cmocka_unit_test(syntaxes_are_recognised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
