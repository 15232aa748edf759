/* Installed models: what is written comes back, what is damaged is said, what is shared stays. */
#include "kit.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/partial.h"

static void round_trip(void **state)
{
    (void)state;
    struct store *s = kit_store();
    struct store_model m;
    char hex[65];
    kit_install(s, "a:1", "content");
    assert_int_equal(store_find(s, "a:1", &m, NULL), OK);
    assert_string_equal(m.name, "a:1");
    assert_string_equal(m.sha256, kit_digest("content", hex));
    assert_int_equal(m.bytes, 7);
    assert_string_equal(m.source, "a test");
    assert_string_equal(m.digest_from, "catalogue");
    assert_string_equal(m.info.title, "A test");
    assert_int_equal(strlen(m.pulled_at), strlen("2026-01-01T00:00:00Z"));
    assert_null(m.problem);
    assert_int_equal(store_verify(s, "a:1", NULL, NULL), OK);
    store_model_fini(&m);
    struct error err;
    assert_int_equal(store_find(s, "a:2", &m, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "a:2"));
    kit_drop(s);
}

static void listing(void **state)
{
    (void)state;
    struct store *s = kit_store();
    struct store_models list;
    assert_int_equal(store_list(s, &list, NULL), OK);
    assert_int_equal(list.len, 0);
    kit_install(s, "b:1", "one");
    kit_install(s, "a:2", "two");
    kit_install(s, "a:1", "two");
    /* What does not look like a manifest is none. */
    kit_write(s, "manifests/a/1.json.tmp-Ab12Cd", "{", 1);
    kit_write(s, "manifests/a/.json", "{", 1);
    kit_write(s, "manifests/.x/1.json", "{", 1);
    kit_write(s, "manifests/readme", "x", 1);
    assert_int_equal(store_list(s, &list, NULL), OK);
    assert_int_equal(list.len, 3);
    assert_string_equal(list.items[0].name, "a:1");
    assert_string_equal(list.items[1].name, "a:2");
    assert_string_equal(list.items[2].name, "b:1");
    store_models_fini(&list);
    kit_drop(s);
}

static void damage_is_a_problem_not_a_crash(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"version\": 1}",
        "{\"version\":1,\"name\":\"b:1\",\"sha256\":\"0\",\"bytes\":1,\"digest_from\":\"x\","
        "\"source\":\"x\",\"pulled_at\":\"x\",\"model\":{\"name\":\"a:1\"}}",
        "{\"version\":1,\"name\":\"a:1\",\"sha256\":\"../../../etc/passwd\",\"bytes\":1,"
        "\"digest_from\":\"x\",\"source\":\"x\",\"pulled_at\":\"x\",\"model\":{\"name\":\"a:1\"}}",
        "{\"version\":9,\"name\":\"a:1\",\"sha256\":\"0\",\"bytes\":1,\"digest_from\":\"x\","
        "\"source\":\"x\",\"pulled_at\":\"x\",\"model\":{\"name\":\"a:1\"}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct store *s = kit_store();
        struct store_models list;
        kit_install(s, "z:1", "other");
        kit_write(s, "manifests/a/1.json", texts[i], strlen(texts[i]));
        assert_int_equal(store_list(s, &list, NULL), OK);
        assert_int_equal(list.len, 2);
        assert_non_null(list.items[0].problem);
        assert_null(list.items[1].problem);
        store_models_fini(&list);
        assert_int_equal(store_verify(s, "a:1", NULL, NULL), ERR_INTEGRITY);
        /* A manifest that cannot be read may name any file: none is deleted while it is there. */
        uint64_t freed;
        assert_int_equal(store_remove(s, "z:1", false, &freed, NULL, NULL), OK);
        assert_int_equal(freed, 0);
        assert_int_equal(store_remove(s, "a:1", false, &freed, NULL, NULL), OK);
        assert_int_equal(store_find(s, "a:1", &(struct store_model){0}, NULL), ERR_NOT_FOUND);
        kit_drop(s);
    }
}

static void missing_and_changed_files(void **state)
{
    (void)state;
    struct store *s = kit_store();
    struct store_model m;
    struct error err;
    char hex[65], rel[128];
    kit_install(s, "a:1", "content");
    snprintf(rel, sizeof rel, "blobs/sha256-%s", kit_digest("content", hex));
    kit_write(s, rel, "CONTENT", 7); /* same size: only hashing tells */
    assert_int_equal(store_find(s, "a:1", &m, NULL), OK);
    assert_null(m.problem);
    store_model_fini(&m);
    assert_int_equal(store_verify(s, "a:1", NULL, &err), ERR_INTEGRITY);
    kit_write(s, rel, "CONT", 4);
    assert_int_equal(store_find(s, "a:1", &m, NULL), OK);
    assert_non_null(strstr(m.problem, "size"));
    assert_int_equal(unlink(m.path), 0);
    store_model_fini(&m);
    assert_int_equal(store_find(s, "a:1", &m, NULL), OK);
    assert_non_null(strstr(m.problem, "cannot be found"));
    store_model_fini(&m);
    kit_drop(s);
}

static void shared_files_stay(void **state)
{
    (void)state;
    struct store *s = kit_store();
    uint64_t freed;
    char hex[65], rel[128];
    snprintf(rel, sizeof rel, "blobs/sha256-%s", kit_digest("same", hex));
    kit_install(s, "a:1", "same");
    kit_install(s, "b:1", "same");
    assert_int_equal(store_remove(s, "a:1", false, &freed, NULL, NULL), OK);
    assert_int_equal(freed, 0);
    assert_true(kit_exists(s, rel));
    assert_int_equal(store_remove(s, "b:1", false, &freed, NULL, NULL), OK);
    assert_int_equal(freed, 4);
    assert_false(kit_exists(s, rel));
    assert_int_equal(store_remove(s, "b:1", false, &freed, NULL, NULL), ERR_NOT_FOUND);
    kit_drop(s);
}

static void pins(void **state)
{
    (void)state;
    struct store *s = kit_store();
    char hex[65], got[65];
    assert_int_equal(pin_read(s, "a:1", got, NULL), ERR_NOT_FOUND);
    assert_int_equal(pin_write(s, "a:1", kit_digest("x", hex), "hub", NULL), OK);
    assert_int_equal(pin_read(s, "a:1", got, NULL), OK);
    assert_string_equal(got, hex);
    kit_install(s, "a:1", "x");
    assert_int_equal(store_remove(s, "a:1", false, NULL, NULL, NULL), OK);
    assert_int_equal(pin_read(s, "a:1", got, NULL), OK);
    kit_install(s, "a:1", "x");
    assert_int_equal(store_remove(s, "a:1", true, NULL, NULL, NULL), OK);
    assert_int_equal(pin_read(s, "a:1", got, NULL), ERR_NOT_FOUND);
    /* A pin that cannot be read is no permission. */
    kit_write(s, "pins/a/1.json", "{\"sha256\": \"zz\"}", 16);
    assert_int_equal(pin_read(s, "a:1", got, NULL), ERR_FORMAT);
    kit_drop(s);
}

static void locks(void **state)
{
    (void)state;
    struct store *s = kit_store();
    struct store_lock one, two;
    struct error err;
    assert_int_equal(store_lock_try(s, STORE_LOCK_NAME, "a:1", &one, NULL), OK);
    assert_int_equal(store_lock_try(s, STORE_LOCK_NAME, "a:1", &two, &err), ERR_BUSY);
    assert_int_equal(two.fd, -1);
    assert_int_equal(store_lock_try(s, STORE_LOCK_NAME, "a:2", &two, NULL), OK);
    store_lock_drop(&two);
    store_lock_drop(&one);
    assert_int_equal(store_lock_try(s, STORE_LOCK_NAME, "a:1", &one, NULL), OK);
    store_lock_drop(&one);
    store_lock_drop(&one);
    kit_drop(s);
}

static void partial_files(void **state)
{
    (void)state;
    struct store *s = kit_store();
    struct partial p;
    struct error err;
    char hex[65], rel[128];
    kit_digest("hello world", hex);
    snprintf(rel, sizeof rel, "blobs/sha256-%s", hex);
    assert_int_equal(partial_open(s, hex, 11, NULL, &p, NULL), OK);
    assert_int_equal(partial_write(&p, "hello ", 6, NULL), OK);
    assert_int_equal(partial_finish(&p, &err), ERR_NETWORK); /* too short: kept */
    assert_int_equal(partial_open(s, hex, 11, NULL, &p, NULL), OK);
    assert_int_equal(p.len, 6);
    assert_int_equal(partial_write(&p, "world!", 6, &err), ERR_INTEGRITY); /* too long */
    assert_int_equal(p.len, 6);
    assert_int_equal(partial_write(&p, "w0rld", 5, NULL), OK);
    assert_int_equal(partial_truncate(&p, 6, NULL), OK);
    assert_int_equal(partial_write(&p, "world", 5, NULL), OK);
    assert_int_equal(partial_finish(&p, NULL), OK);
    assert_true(kit_exists(s, rel));
    size_t count;
    uint64_t bytes;
    assert_int_equal(store_unfinished(s, &count, &bytes, NULL), OK);
    assert_int_equal(count, 1); /* no manifest names it yet */
    assert_int_equal(bytes, 11);
    /* Wrong: deleted, and never among the blobs. */
    kit_digest("other", hex);
    assert_int_equal(partial_open(s, hex, 5, NULL, &p, NULL), OK);
    assert_int_equal(partial_write(&p, "wrong", 5, NULL), OK);
    assert_int_equal(partial_finish(&p, &err), ERR_INTEGRITY);
    assert_non_null(strstr(err.msg, hex));
    snprintf(rel, sizeof rel, "blobs/sha256-%s", hex);
    assert_false(kit_exists(s, rel));
    snprintf(rel, sizeof rel, "partial/%s", hex);
    assert_false(kit_exists(s, rel));
    assert_int_equal(store_remove_unfinished(s, &count, &bytes, NULL), OK);
    assert_int_equal(count, 1);
    kit_drop(s);
}

/* ---- a disk that fails -------------------------------------------------------------------- */

int __real_fsync(int fd);
int __wrap_fsync(int fd);
static int fsyncs_until_failure = -1;

int __wrap_fsync(int fd)
{
    if (fsyncs_until_failure == 0) {
        errno = EIO;
        return -1;
    }
    if (fsyncs_until_failure > 0) fsyncs_until_failure--;
    return __real_fsync(fd);
}

/* What the disk would not take is discarded, not tried again: its pages may be gone. */
static void failed_fsync_of_a_model(void **state)
{
    (void)state;
    struct store *s = kit_store();
    struct partial p;
    struct error err;
    char hex[65], rel[128];
    kit_digest("hello", hex);
    assert_int_equal(partial_open(s, hex, 5, NULL, &p, NULL), OK);
    assert_int_equal(partial_write(&p, "hello", 5, NULL), OK);
    fsyncs_until_failure = 0;
    assert_int_equal(partial_finish(&p, &err), ERR_IO);
    fsyncs_until_failure = -1;
    snprintf(rel, sizeof rel, "blobs/sha256-%s", hex);
    assert_false(kit_exists(s, rel));
    snprintf(rel, sizeof rel, "partial/%s", hex);
    assert_false(kit_exists(s, rel));
    kit_drop(s);
}

static void failed_fsync_of_a_manifest(void **state)
{
    (void)state;
    struct store *s = kit_store();
    struct store_model m;
    kit_install(s, "a:1", "old");
    json_t *model = json_pack("{s:s}", "name", "a:1");
    char hex[65];
    struct manifest next = {.name = "a:1",
                            .sha256 = kit_digest("new", hex),
                            .source = "x",
                            .digest_from = "catalogue",
                            .bytes = 3,
                            .model = model};
    fsyncs_until_failure = 0; /* of the file: nothing changes */
    assert_int_equal(manifest_write(s, &next, NULL), ERR_IO);
    fsyncs_until_failure = -1;
    assert_int_equal(store_find(s, "a:1", &m, NULL), OK);
    assert_string_equal(m.sha256, kit_digest("old", hex));
    assert_null(m.problem);
    store_model_fini(&m);
    json_decref(model);
    kit_drop(s);
}

static void a_link_is_not_followed(void **state)
{
    (void)state;
    struct store *s = kit_store();
    struct partial p;
    char hex[65], link[700], target[700];
    kit_write(s, "victim", "precious", 8);
    kit_write(s, "partial/x", "", 0);
    snprintf(link, sizeof link, "%s/partial/%s", store_root(s), kit_digest("m", hex));
    snprintf(target, sizeof target, "%s/victim", store_root(s));
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(partial_open(s, hex, 1, NULL, &p, NULL), ERR_IO);
    struct stat sb;
    assert_int_equal(stat(target, &sb), 0);
    assert_int_equal(sb.st_size, 8);
    kit_drop(s);
}

static void resolving(void **state)
{
    (void)state;
    struct store *s = kit_store();
    char name[STORE_NAME_SIZE];
    struct error err;
    assert_int_equal(store_resolve(s, "mine", name, &err), ERR_NOT_FOUND);
    kit_install(s, "mine:x", "1");
    assert_int_equal(store_resolve(s, "mine", name, NULL), OK);
    assert_string_equal(name, "mine:x");
    kit_install(s, "mine:y", "2");
    assert_int_equal(store_resolve(s, "mine", name, &err), ERR_INVALID);
    kit_install(s, "mine:latest", "3");
    assert_int_equal(store_resolve(s, "Mine", name, NULL), OK);
    assert_string_equal(name, "mine:latest");
    assert_int_equal(store_resolve(s, "mine:z", name, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "did you mean"));
    assert_int_equal(store_resolve(s, "/etc/passwd", name, &err), ERR_INVALID);
    kit_drop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(listing),
        cmocka_unit_test(damage_is_a_problem_not_a_crash),
        cmocka_unit_test(missing_and_changed_files),
        cmocka_unit_test(shared_files_stay),
        cmocka_unit_test(pins),
        cmocka_unit_test(locks),
        cmocka_unit_test(partial_files),
        cmocka_unit_test(failed_fsync_of_a_model),
        cmocka_unit_test(failed_fsync_of_a_manifest),
        cmocka_unit_test(a_link_is_not_followed),
        cmocka_unit_test(resolving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
