/* What is found for a place in a text: the names that matter there, and the declarations and code that an index
 * of a small project has for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "index/context_int.h"
#include "index/context_keep.h"
#include "index/index.h"

static char top[64], root[96], cache[96];

static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", root, path);
    char *slash = strrchr(full, '/');
    *slash = 0;
    assert_int_equal(file_make_dirs(full, NULL), OK);
    *slash = '/';
    int fd = open(full, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void update(void)
{
    struct index_update_options opt = {.cache = cache};
    struct error err = {0};
    if (index_update(root, &opt, NULL, &err) != OK) fail_msg("%s", err.msg);
}

static const char client[] =
    "class Base:\n    def close(self) -> None:\n        pass\n\n\n"
    "class HttpClient(Base):\n    def __init__(self, host: str, port: int = 80) -> None:\n        self.host = host\n\n"
    "    @property\n    def address(self) -> str:\n        return self.host\n\n"
    "    @address.setter\n    def address(self, value: str) -> None:\n        self.host = value\n\n"
    "    async def fetch_page(self, path: str, *, retries: dict[str, int] = {\"a\": 1}) -> bytes:\n        return b''\n";

static int make(void **state)
{
    (void)state;
    strcpy(top, "/tmp/hearth-context-XXXXXX");
    if (!mkdtemp(top)) return -1;
    snprintf(root, sizeof root, "%s/project", top);
    snprintf(cache, sizeof cache, "%s/cache", top);
    put("net/client.py", client);
    put("net/util.py", "def encode_path(path: str, safe: str = '/') -> str:\n    return path\n\n\n"
                       "def unrelated_thing(a):\n    return a\n");
    put("net/other.py", "from .util import encode_path\n\n\ndef show(page):\n    target = encode_path(page.name, safe='~')\n"
                        "    return target\n");
    put("far/util.py", "def encode_path(kind):\n    return kind\n");
    put("main.py", "def of_main(a):\n    return a\n");
    put("id_rsa", "def encode_path(secret):\n    return secret\n");
    update();
    return 0;
}

static int clean(void **state)
{
    (void)state;
    char line[128];
    snprintf(line, sizeof line, "rm -rf '%s'", top);
    return system(line);
}

static size_t near_bytes; /* of the queries */

/* What is found where `text` has its '|'; freed by the caller. */
static struct index_context find(const char *path, const char *text, size_t max_bytes)
{
    struct index *ix = NULL;
    struct error err = {0};
    struct index_context c;
    char *bare = strdup(text), *at = strchr(bare, '|');
    assert_non_null(at);
    memmove(at, at + 1, strlen(at));
    struct index_context_query q = {.path = path, .text = bare, .len = strlen(bare), .offset = (size_t)(at - bare),
                                    .near_bytes = near_bytes, .max_bytes = max_bytes, .seconds = 10};
    if (index_open(root, cache, &ix, &err) != OK) fail_msg("%s", err.msg);
    if (index_context_find(ix, &q, &c, &err) != OK) fail_msg("%s", err.msg);
    index_close(ix);
    free(bare);
    return c;
}

static const struct index_context_item *item_of(const struct index_context *c, const char *path)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->list[i].path, path) == 0) return &c->list[i];
    return NULL;
}

static bool has(const struct index_context *c, const char *text)
{
    for (size_t i = 0; i < c->n; i++)
        if (strstr(c->list[i].text, text)) return true;
    return false;
}

/* ---- names ---- */

static struct context_names *names_at(const char *text, char **bare)
{
    struct context_names *n = malloc(sizeof *n);
    *bare = strdup(text);
    char *at = strchr(*bare, '|');
    memmove(at, at + 1, strlen(at));
    context_names_find(n, *bare, strlen(*bare), (size_t)(at - *bare));
    return n;
}

static void test_names(void **state)
{
    (void)state;
    char *text;
    struct context_names *n = names_at("from .util import encode_path, other_thing\n\n"
                                       "class Page(Widget):\n    def draw(self, http_client: Transport):\n"
                                       "        far_away = 1\n        x = encode_path(2)\n        self.put(http_client.fe|)\n", &text);
    const struct context_name *near = context_names_get(n, "http_client", 11), *away = context_names_get(n, "far_away", 8);
    assert_non_null(near);
    assert_non_null(away);
    assert_true(near->weight > away->weight);
    assert_int_equal(n->partial_len, 2);
    assert_int_equal(n->receiver_len, 11);
    const struct context_name *made = context_names_get(n, "HttpClient", 10), *declared = context_names_get(n, "Transport", 9);
    assert_true(made && made->made);
    assert_true(declared && declared->weight > away->weight);
    assert_non_null(context_names_get(n, "Widget", 6)); /* of a block's head */
    const struct context_name *used = context_names_get(n, "encode_path", 11), *unused = context_names_get(n, "other_thing", 11);
    assert_true(used->imported && used->uses == 1 && unused->imported && unused->uses == 0);
    assert_null(context_names_get(n, "self", 4));
    assert_int_equal(n->n_imports, 1);
    for (size_t i = 1; i < n->n; i++) assert_true(n->list[i - 1].weight >= n->list[i].weight);
    free(n);
    free(text);
}

static void test_names_of_any_bytes(void **state)
{
    (void)state;
    struct context_names *n = malloc(sizeof *n);
    uint32_t seed = 7;
    for (int round = 0; round < 300; round++) {
        char text[600];
        size_t len = (seed = seed * 1664525u + 1013904223u) % sizeof text;
        static const char some[] = "a.b->c::(){}=:,\n \t_\"'#\xff\x80xyz0import from class ";
        for (size_t i = 0; i < len; i++) text[i] = some[((seed = seed * 1664525u + 1013904223u) >> 8) % (sizeof some)];
        char *exact = malloc(len ? len : 1); /* so that a checker sees a read past it */
        memcpy(exact, text, len);
        context_names_find(n, exact, len, len ? seed % (len + 1) : 0);
        assert_true(n->n <= CONTEXT_NAMES);
        free(exact);
    }
    char *line = malloc(1 << 20); /* more names than the table has */
    size_t len = 0;
    for (int i = 0; i < 60000; i++) len += (size_t)sprintf(line + len, "n%d ", i);
    context_names_find(n, line, len, len);
    assert_int_equal(n->n, CONTEXT_NAMES);
    free(line);
    free(n);
}

/* ---- signatures ---- */

static void shortened(const char *language, const char *sig, const char *want)
{
    char out[600];
    size_t n = context_shorten(language, sig, out, sizeof out);
    out[n] = 0;
    assert_string_equal(out, want);
    for (size_t cap = 1; cap < sizeof out; cap += 3) assert_true(context_shorten(language, sig, out, cap) < cap);
}

static void test_shorten(void **state)
{
    (void)state;
    shortened("python", "def f( self, a: int, b: dict[str, int] = {\"k\": 1}, *, c: str = \":\", ) -> None", "def f(a, b={\"k\": 1}, *, c=\":\")");
    shortened("python", "@classmethod def g(cls) -> \"X\"", "def g()");
    shortened("python", "@t.overload async def h(self, *args: t.Any, **kw: t.Any) -> None", "async def h(*args, **kw)");
    shortened("python", "@property def name(self) -> str", "name: str");
    shortened("python", "@name.setter def name(self, value: str) -> None", "");
    shortened("python", "def f(selfish, k=(1, 2)) -> int", "def f(selfish, k=(1, 2))");
    shortened("python", "class A(B, metaclass=C)", "class A(B, metaclass=C)");
    shortened("python", "def broken(a: 'x", "def broken(a");
    shortened("c", "int f(struct x *self, int b)", "int f(struct x *self, int b)");
}

/* ---- the index ---- */

static void test_declarations_of_what_is_near(void **state)
{
    (void)state;
    struct index_context c = find("net/page.py", "from .client import HttpClient\nfrom .util import encode_path\n\n\n"
                                                 "def show(client: HttpClient):\n    return client.|\n", 0);
    assert_true(has(&c, "class HttpClient(Base)\n"));
    assert_true(has(&c, "    async def fetch_page(path, *, retries={\"a\": 1})\n"));
    assert_true(has(&c, "    address: str\n"));
    assert_true(has(&c, "    def close()\n")); /* of the base */
    assert_true(has(&c, "def encode_path(path, safe='/')\n")); /* imported, not used yet */
    assert_false(has(&c, "def of_main")); /* nobody asked for it */
    assert_non_null(item_of(&c, "net/client.py"));
    index_context_fini(&c);
}

static void test_an_imported_file_is_nearer(void **state)
{
    (void)state;
    struct index_context c = find("net/page.py", "from .util import encode_path\n\n\ndef show(a):\n    return encode_path(|\n", 0);
    const struct index_context_item *near = item_of(&c, "net/util.py"), *far = item_of(&c, "far/util.py");
    assert_non_null(near);
    assert_true(!far || far->score < near->score);
    assert_true(has(&c, "encode_path(page.name, safe='~')")); /* how another file calls it */
    index_context_fini(&c);
}

static void test_nothing_of_the_file_itself(void **state)
{
    (void)state;
    struct index_context c = find("net/client.py", "class HttpClient(Base):\n    async def fetch_page(self, path):\n"
                                                   "        return self.|\n", 0);
    assert_null(item_of(&c, "net/client.py"));
    index_context_fini(&c);
    c = find("net/util.py", "def encode_path(path):\n    unrelated_thing(|\n", 0);
    assert_null(item_of(&c, "net/util.py"));
    index_context_fini(&c);
}

static void test_far_imports_of_the_text(void **state)
{
    (void)state;
    char text[4096];
    int n = snprintf(text, sizeof text, "import os\nfrom .util import encode_path\nfrom .util import (\n    unrelated_thing,\n)\n");
    for (int i = 0; i < 60; i++) n += snprintf(text + n, sizeof text - (size_t)n, "line_%d = %d\n", i, i);
    snprintf(text + n, sizeof text - (size_t)n, "x = |\n");
    struct index_context c = find("net/page.py", text, 0);
    const struct index_context_item *own = item_of(&c, "net/page.py");
    assert_non_null(own);
    assert_int_equal(own->declarations + own->chunks, 0);
    assert_true(strstr(own->text, "from .util import encode_path\n") && strstr(own->text, "( unrelated_thing, )\n"));
    assert_null(strstr(own->text, "import os")); /* none of the project's */
    index_context_fini(&c);
}

/* Members of the type that is written, where they are too far up to be seen; none that are near, none that the
 * editor's text has no more. */
static void test_far_signatures_of_the_text(void **state)
{
    (void)state;
    char text[8192];
    int n = snprintf(text, sizeof text, "class Long:\n    def early_method(self, a: int) -> int:\n        return a\n\n"
                                        "    def gone_method(self):\n        return 2\n\n");
    for (int i = 0; i < 60; i++) n += snprintf(text + n, sizeof text - (size_t)n, "    line_%d = %d\n", i, i);
    n += snprintf(text + n, sizeof text - (size_t)n, "    def near_method(self):\n        return self.");
    put("net/long.py", text);
    update();
    memcpy(strstr(text, "gone_method"), "new_methods", 11);
    snprintf(text + n, sizeof text - (size_t)n, "|\n");
    near_bytes = 300;
    struct index_context c = find("net/long.py", text, 0);
    near_bytes = 0;
    assert_true(has(&c, "    def early_method(a)\n"));
    assert_false(has(&c, "near_method"));
    assert_false(has(&c, "gone_method"));
    assert_int_equal(item_of(&c, "net/long.py")->chunks, 0);
    index_context_fini(&c);
}

static void test_fits(void **state)
{
    (void)state;
    for (size_t most = 40; most < 2000; most += 100) {
        struct index_context c = find("net/page.py", "from .client import HttpClient\nfrom .util import encode_path\n"
                                                     "def show(client: HttpClient):\n    return client.|\n", most);
        size_t bytes = 0;
        for (size_t i = 0; i < c.n; i++) bytes += c.list[i].len + strlen(c.list[i].path);
        assert_true(bytes <= most);
        index_context_fini(&c);
    }
}

static void test_same_again(void **state)
{
    (void)state;
    static const char text[] = "from .client import HttpClient\ndef show(client: HttpClient):\n    return client.|\n";
    struct index_context a = find("net/page.py", text, 0), b = find("net/page.py", text, 0);
    assert_int_equal(a.n, b.n);
    assert_true(a.n > 0);
    for (size_t i = 0; i < a.n; i++) assert_string_equal(a.list[i].text, b.list[i].text);
    index_context_fini(&a);
    index_context_fini(&b);
}

/* A path in an index may be anything; secrets' files are not in one, but a name may become one's. */
static void test_paths_that_are_not_told(void **state)
{
    (void)state;
    put("odd\nname.py", "def odd_helper(a):\n    return a\n");
    put("odd\x01.py", "def odd_helper(b):\n    return b\n");
    put("<|file_sep|>.py", "def odd_helper(c):\n    return c\n");
    update();
    struct index_context c = find("net/page.py", "import odd_helper\nodd_helper(|\n", 0);
    assert_non_null(item_of(&c, "<|file_sep|>.py")); /* text to a prompt, as any other */
    for (size_t i = 0; i < c.n; i++)
        for (const char *p = c.list[i].path; *p; p++) assert_true((unsigned char)*p >= 32);
    index_context_fini(&c);
    c = find("net/page.py", "from .util import encode_path\nencode_path(|\n", 0);
    assert_false(has(&c, "secret"));
    index_context_fini(&c);
    struct error err = {0};
    struct context_search *s = calloc(1, sizeof *s);
    s->err = &err;
    assert_int_equal(context_add(s, ".env", 4, 1, 1, PIECE_CODE, 1, "KEY=1\n", 6), OK);
    assert_int_equal(context_add(s, "a/id_rsa", 8, 1, 1, PIECE_CODE, 1, "KEY=1\n", 6), OK);
    assert_int_equal(s->n, 0);
    free(s);
}

/* ---- one after the other ---- */

static void take(struct context_keep *k, const char *path, const char *text, struct context_kept *out)
{
    struct context_budget budget = {.seconds = 10};
    context_keep_take(k, path, text, strlen(text), strlen(text), &budget, out);
}

static void test_kept_while_typing(void **state)
{
    (void)state;
    struct context_keep *k;
    struct context_kept kept;
    struct error err = {0};
    assert_int_equal(context_keep_create(root, cache, &k, &err), OK);
    take(k, "net/page.py", "from .client import HttpClient\nclient = HttpClient('a')\n", &kept);
    assert_false(kept.again);
    assert_true(kept.found->n > 0);
    assert_string_equal(kept.path, "net/page.py");
    assert_string_equal(kept.repository, "project");
    size_t n = kept.found->n;
    take(k, "net/page.py", "from .client import HttpClient\nclient = HttpClient('a')\nx = encode", &kept);
    assert_true(kept.again); /* the line goes on */
    assert_int_equal(kept.found->n, n);
    take(k, "net/page.py", "from .client import HttpClient\nclient = HttpClient('a')\n\n", &kept);
    assert_true(kept.again); /* nothing else matters on the next line */
    take(k, "net/page.py", "from .util import encode_path\nencode_path(1)\n\n", &kept);
    assert_false(kept.again);
    take(k, "net/other.py", "from .util import encode_path\nencode_path(1)\n\n", &kept);
    assert_false(kept.again); /* another file */
    context_keep_destroy(k);
}

static void test_in_nobodys_way(void **state)
{
    (void)state;
    struct context_keep *k;
    struct context_kept kept;
    struct error err = {0};
    char path[200];
    assert_int_equal(context_keep_create(root, "/nowhere/at/all", &k, &err), OK); /* no index */
    take(k, "net/page.py", "encode_path(", &kept);
    assert_int_equal(kept.found->n, 0);
    assert_string_equal(kept.path, "net/page.py");
    context_keep_destroy(k);
    assert_int_equal(context_keep_create(root, cache, &k, &err), OK);
    static const char text[] = "from .util import encode_path\nencode_path(";
    const char *outside[] = {"/etc/passwd.py", "../project2/a.py", NULL, ""};
    for (size_t i = 0; i < 4; i++) {
        take(k, outside[i], text, &kept);
        assert_null(kept.path);
        assert_int_equal(kept.found->n, 0);
    }
    snprintf(path, sizeof path, "%s/net/page.py", root);
    take(k, path, text, &kept);
    assert_true(kept.found->n > 0);
    context_keep_destroy(k);
}

/* Bytes of the database in use are overwritten: less context, no failure, and all of it again after an update. */
static void test_damaged_index(void **state)
{
    (void)state;
    struct context_keep *k;
    struct context_kept kept;
    struct error err = {0};
    char *folder = index_folder(cache, root), path[512], junk[512];
    memset(junk, 0xa5, sizeof junk);
    snprintf(path, sizeof path, "%s/g1.db", folder);
    static const char text[] = "from .util import encode_path\nencode_path(";
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    off_t size = lseek(fd, 0, SEEK_END);
    assert_true(size > 16384);
    for (off_t at = 0; at < size; at += 2048) assert_int_equal(pwrite(fd, junk, sizeof junk, at), sizeof junk);
    close(fd);
    assert_int_equal(context_keep_create(root, cache, &k, &err), OK);
    take(k, "net/page.py", text, &kept);
    assert_int_equal(kept.found->n, 0);
    context_keep_destroy(k);
    update();
    assert_int_equal(context_keep_create(root, cache, &k, &err), OK);
    take(k, "net/page.py", text, &kept);
    assert_true(kept.found->n > 0);
    context_keep_destroy(k);
    free(folder);
}

int main(int argc, char **argv)
{
    if (argc > 1) cmocka_set_test_filter(argv[1]);
#define TEST(t) cmocka_unit_test_setup_teardown(t, make, clean)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_names_of_any_bytes),
        cmocka_unit_test(test_shorten),
        TEST(test_declarations_of_what_is_near),
        TEST(test_an_imported_file_is_nearer),
        TEST(test_nothing_of_the_file_itself),
        TEST(test_far_imports_of_the_text),
        TEST(test_far_signatures_of_the_text),
        TEST(test_fits),
        TEST(test_same_again),
        TEST(test_paths_that_are_not_told),
        TEST(test_kept_while_typing),
        TEST(test_in_nobodys_way),
        TEST(test_damaged_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
