/* Each allocation of an import failing in turn: ERR_NOMEM, nothing leaked. The linker routes the
 * allocators through here (--wrap), but for jansson's own: where memory runs out within it, it reports
 * some mistake in the text, which is an error as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "folder_make.h"
#include "gguf/gguf_write.h"

static long fail_at; /* 1 fails the next allocation; 0 never */
static long live;    /* allocations less frees */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
void __wrap_free(void *p);

static bool fails(void)
{
    return fail_at > 0 && --fail_at == 0;
}

static void *counted(void *p)
{
    if (p) live++;
    return p;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : counted(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    if (fails()) return NULL;
    void *out = __real_realloc(p, n);
    if (out && !p) live++;
    return out;
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    if (fails()) return NULL;
    void *out = __real_reallocarray(p, n, size);
    if (out && !p) live++;
    return out;
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : counted(__real_strdup(s));
}

char *__wrap_strndup(const char *s, size_t n)
{
    return fails() ? NULL : counted(__real_strndup(s, n));
}

void __wrap_free(void *p)
{
    if (p) live--;
    __real_free(p);
}

static void every_allocation(const struct made_folder *f, const char *arch)
{
    for (long n = 1;; n++) {
        struct gguf_writer *w = NULL;
        struct error err = {0};
        long before = live;
        assert_int_equal(gguf_writer_begin("/tmp/never-written.gguf", 0, &w, &err), OK);
        fail_at = n;
        enum status st = tokenizer_import(f->path, arch, NULL, w, NULL, &err);
        bool reached = fail_at == 0;
        fail_at = 0;
        gguf_writer_abandon(w);
        assert_int_equal(live, before);
        if (!reached) {
            assert_int_equal(st, OK);
            assert_true(n > 20);
            return;
        }
        /* The writer keeps its own failures for later; and JIT code that finds no memory is done without. */
        if (st != OK) {
            if (st != ERR_NOMEM) fail_msg("allocation %ld: %s", n, err.msg);
            assert_int_equal(err.code, st);
        }
    }
}

static void from_json(void **unused)
{
    (void)unused;
    struct made_folder f;
    folder_make(&f);
    folder_text(&f, "tokenizer.json",
                "{\"added_tokens\": [{\"id\": 4, \"content\": \"a\u2581b\"}], \"pre_tokenizer\": {\"type\": \"ByteLevel\"},"
                "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": [[\"a\", \"b\"]]}}");
    folder_text(&f, "config.json", "{\"vocab_size\": 7, \"bos_token_id\": 1}");
    folder_text(&f, "tokenizer_config.json", "{\"eos_token\": \"b\", \"added_tokens_decoder\": {\"5\": {\"content\": \"x\"}}}");
    folder_text(&f, "chat_template.jinja", "template");
    folder_text(&f, "additional_chat_templates/other.jinja", "template");
    every_allocation(&f, "gpt2");
    folder_fini(&f);
}

static void from_unigram(void **unused)
{
    (void)unused;
    struct made_folder f;
    folder_make(&f);
    folder_text(&f, "tokenizer.json",
                "{\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"BAAAAAAAAAAA\"},"
                "\"pre_tokenizer\": {\"type\": \"Metaspace\"}, \"model\": {\"type\": \"Unigram\", \"unk_id\": 0,"
                "\"vocab\": [[\"<unk>\", 0], [\"\u2581a\", -1.5]]}}");
    every_allocation(&f, "t5");
    folder_fini(&f);
}

static void from_plain_files(void **unused)
{
    (void)unused;
    struct made_folder f;
    folder_make(&f);
    folder_text(&f, "vocab.txt", "[PAD]\n[UNK]\nun\n##do\n");
    folder_text(&f, "special_tokens_map.json", "{\"unk_token\": \"[UNK]\"}");
    folder_text(&f, "added_tokens.json", "{\"more\": 4}");
    every_allocation(&f, "bert");
    folder_remove(&f, "vocab.txt");
    folder_text(&f, "tokenizer.model", "\x0A\x05\x0A\x03" "abc" "\x0A\x07\x0A\x03\xE2\x96\x81\x18\x04\x12\x02\x18\x02");
    every_allocation(&f, "llama");
    folder_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_json),
        cmocka_unit_test(from_unigram),
        cmocka_unit_test(from_plain_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
