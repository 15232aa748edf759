/* Parts of the sources that need no network: URLs, archives, child processes. */
#include "kit.h"

#include <archive.h>
#include <archive_entry.h>
#include <signal.h>
#include <unistd.h>

#include "store/http.h"
#include "store/partial.h"
#include "store/pip.h"
#include "store/process.h"
#include "store/source_http.h"
#include "store/wheel.h"

static void which_urls_may_be_asked(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool plainly, allowed; /* without and with permission for plain http */
    } cases[] = {
        {"https://hub.example/a", true, true},
        {"HTTPS://hub.example/a", true, true},
        {"http://127.0.0.1:8080/a", true, true},
        {"http://localhost/a", true, true},
        {"http://[::1]:80/a", true, true},
        {"http://127.0.0.1.evil.example/a", false, true},
        {"http://127.evil.example/a", false, true},
        {"http://hub.example/a", false, true},
        {"http://localhost.evil.example/a", false, true},
        {"https://user@hub.example/a", false, false},
        {"https://user:pw@hub.example/a", false, false},
        {"ftp://hub.example/a", false, false},
        {"file:///etc/passwd", false, false},
        {"gopher://127.0.0.1/a", false, false},
        {"hub.example/a", false, false},
        {"https://", false, false},
        {"", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if ((http_url_check(cases[i].url, false, NULL) == OK) != cases[i].plainly ||
            (http_url_check(cases[i].url, true, NULL) == OK) != cases[i].allowed)
            fail_msg("%s", cases[i].url);
    }
    char host[64];
    http_url_host("https://hub.example:8443/a?b#c", host, sizeof host);
    assert_string_equal(host, "hub.example");
}

static void files_on_the_hub(void **state)
{
    (void)state;
    unsetenv("HF_ENDPOINT");
    static const char *const same[] = {
        "https://huggingface.co/o/r/resolve/main/d/f.gguf",
        "https://huggingface.co/o/r/blob/main/d/f.gguf",
        "https://hf.co/o/r/resolve/main/d/f.gguf?download=true",
    };
    for (size_t i = 0; i < 3; i++) {
        json_t *spec = hub_spec_from_url(same[i]);
        assert_non_null(spec);
        assert_string_equal(json_string_value(json_object_get(spec, "repo")), "o/r");
        assert_string_equal(json_string_value(json_object_get(spec, "revision")), "main");
        assert_string_equal(json_string_value(json_object_get(spec, "file")), "d/f.gguf");
        json_decref(spec);
    }
    static const char *const none[] = {
        "https://huggingface.co/o/r",
        "https://huggingface.co/o/r/tree/main/f.gguf",
        "https://huggingface.co.evil.example/o/r/resolve/main/f.gguf",
        "https://huggingface.co/o/r/resolve/main/../../f.gguf",
        "http://huggingface.co/o/r/resolve/main/f.gguf",
    };
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_null(hub_spec_from_url(none[i]));
    char endpoint[64];
    setenv("HF_ENDPOINT", "https://mirror.example/hf//", 1);
    assert_int_equal(hub_endpoint(endpoint, sizeof endpoint, NULL), OK);
    assert_string_equal(endpoint, "https://mirror.example/hf");
    setenv("HF_ENDPOINT", "http://mirror.example", 1);
    assert_int_equal(hub_endpoint(endpoint, sizeof endpoint, NULL), ERR_INVALID);
    unsetenv("HF_ENDPOINT");
}

/* ---- wheels ------------------------------------------------------------------------------- */

struct member {
    const char *name;
    size_t size;
    int type;
};

static void make_wheel(const char *path, const struct member *members, size_t n)
{
    struct archive *a = archive_write_new();
    assert_int_equal(archive_write_set_format_zip(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, members[i].name);
        archive_entry_set_filetype(e, (unsigned)members[i].type);
        archive_entry_set_perm(e, 0644);
        if (members[i].type == AE_IFLNK) archive_entry_set_symlink(e, "/etc/passwd");
        archive_entry_set_size(e, (la_int64_t)members[i].size);
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        char *data = calloc(1, members[i].size + 1);
        assert_non_null(data);
        if (members[i].size) archive_write_data(a, data, members[i].size);
        free(data);
        archive_entry_free(e);
    }
    assert_int_equal(archive_write_free(a), ARCHIVE_OK);
}

static enum status extract(const struct member *members, size_t n, uint64_t size, uint64_t max,
                           uint64_t *got)
{
    struct store *s = kit_store();
    struct partial p;
    char path[700], hex[65];
    snprintf(path, sizeof path, "%s/w.whl", store_root(s));
    make_wheel(path, members, n);
    assert_int_equal(partial_open(s, kit_digest("w", hex), 0, NULL, &p, NULL), OK);
    enum status st = wheel_extract(path, "p/data/*.bin", size, max, &p, NULL);
    *got = p.len;
    partial_close(&p);
    kit_drop(s);
    return st;
}

static void wheels(void **state)
{
    (void)state;
    uint64_t got;
    const struct member good[] = {{"p/__init__.py", 3, AE_IFREG}, {"p/data/x.bin", 5000, AE_IFREG}};
    assert_int_equal(extract(good, 2, 5000, 1 << 20, &got), OK);
    assert_int_equal(got, 5000);
    assert_int_equal(extract(good, 2, 0, 5000, &got), OK);
    assert_int_equal(extract(good, 2, 5001, 1 << 20, &got), ERR_INTEGRITY);
    assert_int_equal(extract(good, 2, 0, 4999, &got), ERR_INTEGRITY);
    assert_true(got <= 4999);
    assert_int_equal(extract(good, 1, 0, 1 << 20, &got), ERR_NOT_FOUND);

    const struct member twice[] = {{"p/data/x.bin", 10, AE_IFREG}, {"p/data/y.bin", 10, AE_IFREG}};
    assert_int_equal(extract(twice, 2, 10, 1 << 20, &got), ERR_INTEGRITY);
    const struct member deep[] = {{"p/data/d/x.bin", 10, AE_IFREG},
                                  {"../p/data/x.bin", 10, AE_IFREG},
                                  {"/p/data/x.bin", 10, AE_IFREG},
                                  {"p/data/.x.bin", 10, AE_IFREG}};
    assert_int_equal(extract(deep, 4, 10, 1 << 20, &got), ERR_NOT_FOUND);
    const struct member odd[] = {{"p/data/x.bin", 0, AE_IFLNK}};
    assert_int_equal(extract(odd, 1, 0, 1 << 20, &got), ERR_NOT_FOUND);
    const struct member empty[] = {{"p/data/x.bin", 0, AE_IFREG}};
    assert_int_equal(extract(empty, 1, 0, 1 << 20, &got), ERR_INTEGRITY);
}

/* 100 MB of zeros in 100 kB: what unpacks to more than was asked for is cut off early. */
static void a_zip_bomb(void **state)
{
    (void)state;
    uint64_t got;
    const struct member bomb[] = {{"p/data/x.bin", 100 << 20, AE_IFREG}};
    assert_int_equal(extract(bomb, 1, 1 << 20, 1 << 20, &got), ERR_INTEGRITY);
    assert_true(got <= 1 << 20);
}

static void too_many_members(void **state)
{
    (void)state;
    enum { N = 5000 };
    static char names[N][16];
    static struct member members[N];
    uint64_t got;
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "f%d", i);
        members[i] = (struct member){names[i], 1, AE_IFREG};
    }
    assert_int_equal(extract(members, N, 0, 1 << 20, &got), ERR_LIMIT);
}

static void what_is_no_wheel(void **state)
{
    (void)state;
    static const char *const contents[] = {"", "PK", "not a zip at all", "PK\3\4 and then nothing"};
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        struct store *s = kit_store();
        struct partial p;
        struct error err = {0};
        char path[700], hex[65];
        kit_write(s, "w.whl", contents[i], strlen(contents[i]));
        snprintf(path, sizeof path, "%s/w.whl", store_root(s));
        assert_int_equal(partial_open(s, kit_digest("w", hex), 0, NULL, &p, NULL), OK);
        assert_int_not_equal(wheel_extract(path, "*", 0, 100, &p, &err), OK);
        assert_true(err.msg[0]);
        partial_close(&p);
        kit_drop(s);
    }
}

/* Part 1's wheel must not be taken for part 10's, however names are written. */
static void wheels_by_package(void **state)
{
    (void)state;
    static const struct {
        const char *package, *file; /* NULL: none */
    } cases[] = {
        {"model-part1", "model_part1-1.0-py3-none-any.whl"},
        {"model-part10", "model_part10-1.0-py3-none-any.whl"},
        {"Model.Part--2", "model_part.2-1.0-py3-none-any.whl"},
        {"model-part2", NULL},
        {"model-part", NULL},
        {"part1", NULL},
        {"model-part100", NULL},
    };
    struct store *s = kit_store();
    kit_write(s, "wheels/model_part10-1.0-py3-none-any.whl", "", 0);
    kit_write(s, "wheels/model_part1-1.0-py3-none-any.whl", "", 0);
    kit_write(s, "wheels/model_part.2-1.0-py3-none-any.whl", "", 0);
    kit_write(s, "wheels/model_part1-1.0.tar.gz", "", 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path;
        enum status st = pip_wheel(store_root(s), cases[i].package, &path, NULL);
        assert_int_equal(st, cases[i].file ? OK : ERR_NETWORK);
        if (path) assert_string_equal(strrchr(path, '/') + 1, cases[i].file);
        free(path);
    }
    kit_drop(s);
}

/* ---- processes ---------------------------------------------------------------------------- */

static enum status shell(const char *script, bool (*tick)(void *), void *ctx,
                         struct process_result *r, struct error *err)
{
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
    char *env[] = {(char *)"HEARTH_TEST_VALUE=new", NULL};
    return process_run(argv, env, tick, ctx, r, err);
}

static bool count_to_two(void *ctx)
{
    return ++*(int *)ctx < 3;
}

static void processes(void **state)
{
    (void)state;
    struct process_result r;
    struct error err;
    setenv("HEARTH_TEST_VALUE", "old", 1);
    assert_int_equal(shell("echo \"$HEARTH_TEST_VALUE\" >&2; exit 3", NULL, NULL, &r, NULL), OK);
    assert_int_equal(r.exit_code, 3);
    assert_string_equal(r.tail, "new\n");
    assert_int_equal(shell("kill -9 $$", NULL, NULL, &r, NULL), OK);
    assert_int_equal(r.exit_code, 128 + 9);
    char *missing[] = {(char *)"/nonexistent/program", NULL};
    assert_int_equal(process_run(missing, NULL, NULL, NULL, &r, NULL), OK);
    assert_int_equal(r.exit_code, 127);
    int ticks = 0;
    assert_int_equal(shell("exec sleep 60", count_to_two, &ticks, &r, &err), ERR_CANCELLED);
    assert_int_equal(ticks, 3);
}

/* Only the end of a long complaint is kept, and a full pipe stops nobody. */
static void long_output(void **state)
{
    (void)state;
    struct process_result r;
    assert_int_equal(
        shell("i=0; while [ $i -lt 3000 ]; do echo \"line $i of a long complaint\" >&2; "
              "i=$((i+1)); done; echo END >&2",
              NULL, NULL, &r, NULL),
        OK);
    assert_int_equal(strlen(r.tail), PROCESS_TAIL - 1);
    assert_string_equal(r.tail + strlen(r.tail) - 4, "END\n");
}

static void last_words(void **state)
{
    (void)state;
    char words[64];
    process_last_words("a\nERROR: b\nWARNING: c\n\n", words, sizeof words);
    assert_string_equal(words, "b");
    process_last_words("a\nc\n\n", words, sizeof words);
    assert_string_equal(words, "c");
    process_last_words("", words, sizeof words);
    assert_string_equal(words, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_urls_may_be_asked),
        cmocka_unit_test(files_on_the_hub),
        cmocka_unit_test(wheels),
        cmocka_unit_test(a_zip_bomb),
        cmocka_unit_test(too_many_members),
        cmocka_unit_test(what_is_no_wheel),
        cmocka_unit_test(wheels_by_package),
        cmocka_unit_test(processes),
        cmocka_unit_test(long_output),
        cmocka_unit_test(last_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
