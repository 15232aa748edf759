/* Kept sessions: what comes back is what was kept, and a file that anything was done to is refused
 * or, where its maker also made its digest, harmless. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sha256.h"
#include "infer/engine.h"
#include "infer/infer_int.h"
#include "infer/session_file.h"

#define TINY GOLDEN_DIR "/tiny/llama-tied.gguf"

/* The file's header, as session_file.c describes it. */
enum { N_TOKENS_AT = 136, DIGEST_AT = 144, TOKENS_AT = 176, MAX_FILE = 1 << 20 };
enum { N_PROMPT = 50, N_ANSWER = 12, N_CTX = 96 };

static char folder[] = "/tmp/hearth-session-file-XXXXXX";
static char path[320];
static uint8_t file[MAX_FILE], changed[MAX_FILE];
static size_t file_len;
static struct engine *e;
static struct session *writer, *reader;
static int32_t prompt[N_PROMPT];

struct answer {
    int32_t tokens[N_ANSWER];
    size_t n, n_cached;
};

static bool on_token(void *ctx, int32_t token)
{
    struct answer *a = ctx;
    a->tokens[a->n++] = token;
    return true;
}

static struct answer ask(struct session *s)
{
    struct answer a = {.n = 0};
    struct generate_request req = {.prompt = prompt,
                                   .n_prompt = N_PROMPT,
                                   .max_tokens = N_ANSWER,
                                   .sample = sample_params_default(),
                                   .on_token = on_token,
                                   .ctx = &a};
    struct generate_result res;
    struct error err = {0};
    if (session_generate(s, &req, &res, &err)) fail_msg("%s", err.msg);
    a.n_cached = res.n_cached;
    return a;
}

static void write_file(const uint8_t *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static enum status load(void)
{
    struct error err = {0};
    size_t n = 99;
    enum status st = session_load(reader, folder, "key", &n, &err);
    if (st != OK) {
        assert_int_equal(n, 0);
        assert_int_equal(session_cached(reader, prompt, N_PROMPT), 0);
        assert_int_equal(err.code, st);
    }
    return st;
}

/* The digest that a file of these bytes has to carry. */
static void sign(uint8_t *data, size_t len)
{
    uint8_t digest[SHA256_BYTES];
    memset(data + DIGEST_AT, 0, sizeof digest);
    assert_int_equal(sha256_of(data, len, digest), OK);
    memcpy(data + DIGEST_AT, digest, sizeof digest);
}

static int setup(void **state)
{
    (void)state;
    struct engine_options opt = {.n_threads = 1, .kv_type = "q8_0/q4_0"};
    struct error err = {0};
    for (int32_t i = 0; i < N_PROMPT; i++) prompt[i] = 5 + i * 31 % 80;
    if (!mkdtemp(folder) || engine_open(TINY, &opt, &e, &err)) return -1;
    if (session_create(e, N_CTX, &writer, &err) || session_create(e, N_CTX, &reader, &err))
        return -1;
    ask(writer);
    if (session_save(writer, folder, "key", SESSION_FILES_BYTES, &err)) return -1;
    DIR *d = opendir(folder);
    for (const struct dirent *f; d && (f = readdir(d));)
        if (f->d_name[0] != '.') snprintf(path, sizeof path, "%s/%s", folder, f->d_name);
    if (d) closedir(d);
    FILE *f = fopen(path, "rb");
    file_len = f ? fread(file, 1, sizeof file, f) : 0;
    if (f) fclose(f);
    return file_len > TOKENS_AT && file_len < sizeof file ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    size_t count;
    uint64_t bytes;
    session_destroy(writer);
    session_destroy(reader);
    engine_close(e);
    if (session_files_remove(folder, &count, &bytes, NULL)) return -1;
    return rmdir(folder);
}

static void what_was_kept_comes_back(void **state)
{
    (void)state;
    struct stat sb;
    write_file(file, file_len);
    struct answer fresh = ask(writer);
    assert_int_equal(load(), OK);
    struct answer a = ask(reader);
    assert_int_equal(a.n_cached, N_PROMPT - 1);
    assert_int_equal(a.n, fresh.n);
    assert_memory_equal(a.tokens, fresh.tokens, a.n * sizeof *a.tokens);
    /* What it became by that, kept again, is the same file: nothing but the text decides. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(session_save(reader, folder, "key", SESSION_FILES_BYTES, NULL), OK);
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0600);
    FILE *f = fopen(path, "rb");
    assert_int_equal(fread(changed, 1, sizeof changed, f), file_len);
    fclose(f);
    assert_memory_equal(changed, file, file_len);
    size_t n;
    assert_int_equal(session_load(reader, folder, "another key", &n, NULL), ERR_NOT_FOUND);
}

static void no_byte_may_change(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (size_t i = 0; i < 600; i++) {
        /* All of the header, then anywhere. */
        size_t at = i < TOKENS_AT ? i : (seed = seed * 1664525u + 1013904223u) % file_len;
        memcpy(changed, file, file_len);
        changed[at] ^= (uint8_t)(1u << i % 8);
        write_file(changed, file_len);
        if (load() == OK) fail_msg("byte %zu was changed and nobody noticed", at);
    }
}

static void no_length_but_its_own(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 7, 8, TOKENS_AT - 1, TOKENS_AT, TOKENS_AT + 3, 1000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        write_file(file, lengths[i]);
        assert_int_equal(load(), ERR_FORMAT);
    }
    write_file(file, file_len - 1);
    assert_int_equal(load(), ERR_FORMAT);
    memcpy(changed, file, file_len);
    changed[file_len] = 0;
    write_file(changed, file_len + 1);
    assert_int_equal(load(), ERR_FORMAT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* and nobody waits for its writer */
    assert_int_equal(load(), ERR_FORMAT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_int_equal(load(), ERR_IO);
    assert_int_equal(unlink(path), 0);
}

static void claim_tokens(uint64_t n)
{
    memcpy(changed, file, file_len);
    memcpy(changed + N_TOKENS_AT, &n, sizeof n);
    sign(changed, file_len);
    write_file(changed, file_len);
}

static void a_signed_lie_is_harmless(void **state)
{
    (void)state;
    static const uint64_t counts[] = {1,          31,         N_CTX,          N_CTX + 1,
                                      UINT32_MAX, UINT64_MAX, UINT64_MAX / 4, (uint64_t)1 << 62};
    memcpy(changed, file, file_len);
    sign(changed, file_len);
    assert_memory_equal(changed, file, file_len); /* this test knows how */
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        claim_tokens(counts[i]);
        assert_int_equal(load(), counts[i] > N_CTX ? ERR_LIMIT : ERR_FORMAT);
    }
    static const int32_t ids[] = {-1, INT32_MIN, INT32_MAX, 1000000};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        memcpy(changed, file, file_len);
        memcpy(changed + TOKENS_AT + 4 * i, &ids[i], sizeof ids[i]);
        sign(changed, file_len);
        write_file(changed, file_len);
        assert_int_equal(load(), ERR_INVALID);
    }
    /* Keys and values of whatever bits, infinities and what is no number among them. */
    static const uint8_t fill[] = {0x00, 0x7c, 0x7e, 0x80, 0xff};
    for (size_t i = 0; i < sizeof fill; i++) {
        memcpy(changed, file, file_len);
        size_t pages_at = TOKENS_AT + 4 * (size_t)(changed[N_TOKENS_AT]);
        memset(changed + pages_at, fill[i], file_len - pages_at);
        sign(changed, file_len);
        write_file(changed, file_len);
        assert_int_equal(load(), OK);
        struct generate_request req = {.prompt = prompt,
                                       .n_prompt = N_PROMPT,
                                       .max_tokens = N_ANSWER,
                                       .sample = sample_params_default()};
        struct generate_result res;
        struct error err;
        enum status st = session_generate(reader, &req, &res, &err);
        assert_true(st == OK || st == ERR_INVALID);
    }
}

static void too_large_to_keep(void **state)
{
    (void)state;
    struct error err = {0};
    unlink(path);
    assert_int_equal(session_save(writer, folder, "key", file_len - 1, &err), ERR_LIMIT);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(session_save(writer, folder, "key", file_len, &err), OK);
    assert_int_equal(access(path, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_kept_comes_back), cmocka_unit_test(no_byte_may_change),
        cmocka_unit_test(no_length_but_its_own),    cmocka_unit_test(a_signed_lie_is_harmless),
        cmocka_unit_test(too_large_to_keep),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
