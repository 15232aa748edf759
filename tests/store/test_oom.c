/* Every allocation of the store's own code failed once in turn: an error each time, no crash, no
 * leak (the sanitizers' builds look for that), and the store as it was. */
#include "kit.h"

#include "store/partial.h"
#include "store/trusted.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_asprintf(char **out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static long allowed = -1; /* allocations until one fails; -1 = none does */
static bool failed;

static bool refuse(void)
{
    if (allowed < 0) return false;
    if (allowed-- > 0) return false;
    allowed = -1;
    failed = true;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return refuse() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t m)
{
    return refuse() ? NULL : __real_calloc(n, m);
}

void *__wrap_realloc(void *p, size_t n)
{
    return refuse() ? NULL : __real_realloc(p, n);
}

char *__wrap_strndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *p = refuse() ? NULL : __real_malloc(len + 1);
    if (!p) return NULL;
    memcpy(p, s, len);
    p[len] = 0;
    return p;
}

char *__wrap_strdup(const char *s)
{
    return __wrap_strndup(s, SIZE_MAX / 2);
}

int __wrap_asprintf(char **out, const char *fmt, ...)
{
    if (refuse()) return -1;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(out, fmt, ap);
    va_end(ap);
    return n;
}

/* Runs `job` with the first allocation failing, then the second, until it succeeds untouched. */
static void torture(enum status (*job)(struct store *s, struct error *err), struct store *s)
{
    for (long n = 0; n < 10000; n++) {
        struct error err = {0};
        failed = false;
        allowed = n;
        enum status st = job(s, &err);
        allowed = -1;
        if (!failed) {
            assert_int_equal(st, OK);
            assert_true(n > 0);
            return;
        }
        if (st && !err.msg[0]) fail_msg("failure %ld has no message", n);
        if (st && err.code != st) fail_msg("failure %ld: message of another", n);
    }
    fail_msg("it never ended");
}

static enum status open_it(struct store *s, struct error *err)
{
    struct store *again;
    enum status st = store_open(store_root(s), &again, err);
    assert_int_equal(st == OK, again != NULL);
    store_close(again);
    return st;
}

static enum status built_in(struct store *s, struct error *err)
{
    (void)s;
    struct catalogue *c;
    enum status st = catalogue_load(NULL, &c, err);
    catalogue_destroy(c);
    return st;
}

static enum status list_it(struct store *s, struct error *err)
{
    struct store_models list;
    enum status st = store_list(s, &list, err);
    assert_int_equal(list.len, st == OK ? 2 : 0);
    store_models_fini(&list);
    return st;
}

static enum status resolve_it(struct store *s, struct error *err)
{
    char name[STORE_NAME_SIZE];
    return store_resolve(s, "a", name, err);
}

static enum status verify_it(struct store *s, struct error *err)
{
    return store_verify(s, "a:1", NULL, err);
}

static enum status pin_it(struct store *s, struct error *err)
{
    char hex[65];
    enum status st = pin_write(s, "a:1", kit_digest("x", hex), "hub", err);
    return st ? st : pin_read(s, "a:1", hex, err);
}

static enum status leftovers(struct store *s, struct error *err)
{
    size_t count;
    uint64_t bytes;
    store_sweep(s);
    return store_unfinished(s, &count, &bytes, err);
}

static enum status download(struct store *s, struct error *err)
{
    struct partial p;
    char hex[65];
    enum status st = partial_open(s, kit_digest("hello", hex), 5, NULL, &p, err);
    if (st) return st;
    partial_note(&p, "host", "\"etag\"");
    if (p.len < 5) st = partial_write(&p, "hello", 5 - p.len, err);
    if (st == OK) return partial_finish(&p, err);
    partial_close(&p);
    return st;
}

static enum status from_file(struct store *s, struct error *err)
{
    char path[700];
    struct store_model m;
    enum pull_outcome outcome;
    snprintf(path, sizeof path, "%s/model.gguf", store_root(s));
    struct pull_request rq = {.name = "file:1", .file = path};
    enum status st = store_pull(s, &rq, NULL, &outcome, &m, err);
    store_model_fini(&m);
    return st;
}

/* A minisign key of minisign_golden.h, and a policy that wants its signature. */
static const char secret[] =
    "untrusted comment: minisign encrypted secret key\n"
    "RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAeOSb9gdsxOcGqf04IUP+"
    "7YJiNacXYYqfUWlCZetbmbp8GILa8LOVdYIAo9puIKyl+"
    "ligzFC296fQkqYRmc5CnMwW1NAFTyoPAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
static const char policy[] = "{\"version\": 1, \"keys\": {\"me\": "
                             "\"RWR45Jv2B2zE54IAo9puIKyl+ligzFC296fQkqYRmc5CnMwW1NAFTyoP\"},"
                             "\"rules\": [{\"models\": [\"a\"], \"keys\": [\"me\"]}]}";

/* Short of memory a model may be refused, or the question; never is it allowed. */
static enum status ask_policy(struct store *s, struct error *err)
{
    struct store_trust t;
    char hex[65];
    enum status st = store_trust_of(s, "a:1", kit_digest("one", hex), &t, err);
    if (st == OK) assert_int_equal(t.outcome, POLICY_REFUSE);
    return st;
}

static enum status sign_it(struct store *s, struct error *err)
{
    struct trust_key k;
    struct buf text;
    enum status st = trust_key_parse_secret(secret, sizeof secret - 1, "the key", NULL, &k, err);
    if (st) return st;
    buf_init(&text, 1 << 16);
    st = store_signature_make(s, "a:1", &k, NULL, NULL, &text, err);
    buf_fini(&text);
    trust_key_fini(&k);
    return st;
}

static enum status load_it(struct store *s, struct error *err)
{
    char *path;
    enum status st = store_load_path(s, "a:1", NULL, &path, err);
    assert_int_equal(st == OK, path != NULL);
    free(path);
    return st;
}

static void signatures_and_policy(void **state)
{
    (void)state;
    struct store *s = kit_store();
    struct error err;
    char *path;
    kit_install(s, "a:1", "one");
    kit_write(s, "trust.json", policy, sizeof policy - 1);
    torture(ask_policy, s);
    assert_int_equal(store_load_path(s, "a:1", NULL, &path, &err), ERR_INTEGRITY);
    assert_null(path);
    torture(sign_it, s);
    torture(load_it, s);
    kit_drop(s);
}

static void every_allocation_once(void **state)
{
    (void)state;
    struct store *s = kit_store();
    kit_install(s, "a:1", "one");
    kit_install(s, "b:1", "two");
    kit_write(s, "partial/0000000000000000000000000000000000000000000000000000000000000000", "x",
              1);
    torture(open_it, s);
    torture(built_in, s);
    torture(list_it, s);
    torture(resolve_it, s);
    torture(verify_it, s);
    torture(pin_it, s);
    torture(leftovers, s);
    torture(download, s);
    struct store_models list;
    assert_int_equal(store_list(s, &list, NULL), OK);
    assert_int_equal(list.len, 2);
    assert_null(list.items[0].problem);
    assert_null(list.items[1].problem);
    store_models_fini(&list);
    kit_drop(s);
}

/* The smallest sound GGUF: version 3, no tensors, one key. */
static const unsigned char tiny[] =
    "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
    "\24\0\0\0\0\0\0\0general.architecture\10\0\0\0\5\0\0\0\0\0\0\0llama";

static void pulls(void **state)
{
    (void)state;
    struct store *s = kit_store();
    kit_write(s, "model.gguf", tiny, sizeof tiny - 1);
    torture(from_file, s);
    struct store_model m;
    assert_int_equal(store_find(s, "file:1", &m, NULL), OK);
    assert_null(m.problem);
    store_model_fini(&m);
    size_t count;
    uint64_t bytes;
    assert_int_equal(store_unfinished(s, &count, &bytes, NULL), OK);
    assert_int_equal(count, 0);
    kit_drop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_once),
        cmocka_unit_test(signatures_and_policy),
        cmocka_unit_test(pulls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
