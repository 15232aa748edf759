/* 50 models of several files, signed with keys of all curves, and more than a thousand ways to
 * change one of them, its signature or the key: none is accepted. Each model is checked to be
 * accepted before and after, so that a refusal is for the change. */
#include "trust_kit.h"

#include <sys/stat.h>
#include <unistd.h>

enum { MODELS = 50 };

struct tamper {
    char *dir;
    unsigned model;
    int files;
    unsigned round; /* which of the models this way is tried on */
    char *text;     /* the signature; ways that change it replace it */
    size_t len;
    const struct kit_key *keys, *key;
    const struct trust_key *with; /* the key to check with */
};

static char *path_of(const struct tamper *t, const char *rel)
{
    char *path;
    assert_true(asprintf(&path, "%s/%s", t->dir, rel) > 0);
    return path;
}

/* A file of the model; `least`: of at least so many bytes. */
static void pick(const struct tamper *t, size_t least, char name[64], size_t *len)
{
    for (int i = 0; i < t->files; i++) {
        kit_model_file(t->model, (int)((t->round + (unsigned)i) % (unsigned)t->files), name, len);
        if (*len >= least) return;
    }
    fail_msg("model %u has no file of %zu bytes", t->model, least);
}

static void set_text(struct tamper *t, char *text)
{
    free(t->text);
    t->text = text;
    t->len = strlen(text);
}

static void flip_in_file(struct tamper *t)
{
    char name[64];
    size_t len;
    pick(t, 1, name, &len);
    char *path = path_of(t, name);
    FILE *f = fopen(path, "r+b");
    size_t bit = (t->round * 7919 + t->model * 104729) % (8 * len);
    assert_non_null(f);
    assert_int_equal(fseek(f, (long)(bit / 8), SEEK_SET), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, (long)(bit / 8), SEEK_SET), 0);
    assert_int_not_equal(fputc(c ^ 1 << bit % 8, f), EOF);
    assert_int_equal(fclose(f), 0);
    free(path);
}

static void truncate_file(struct tamper *t)
{
    char name[64];
    size_t len;
    pick(t, 1, name, &len);
    char *path = path_of(t, name);
    assert_int_equal(truncate(path, (off_t)(len - 1)), 0);
    free(path);
}

static void append_to_file(struct tamper *t)
{
    char name[64];
    size_t len;
    pick(t, 0, name, &len);
    char *path = path_of(t, name);
    FILE *f = fopen(path, "ab");
    assert_non_null(f);
    assert_int_equal(fputc(0, f), 0);
    assert_int_equal(fclose(f), 0);
    free(path);
}

static void rename_file(struct tamper *t)
{
    char name[64], to[80];
    size_t len;
    pick(t, 0, name, &len);
    snprintf(to, sizeof to, "%s.x", name);
    char *a = path_of(t, name), *b = path_of(t, to);
    assert_int_equal(rename(a, b), 0);
    free(a);
    free(b);
}

static void move_file(struct tamper *t)
{
    char name[64];
    size_t len;
    pick(t, 0, name, &len);
    char *a = path_of(t, name), *b = path_of(t, "moved");
    assert_int_equal(rename(a, b), 0);
    free(a);
    free(b);
}

static void swap_files(struct tamper *t)
{
    char one[64], two[64];
    size_t len;
    kit_model_file(t->model, 0, one, &len);
    kit_model_file(t->model, 1, two, &len); /* always empty, and the first never */
    char *a = path_of(t, one), *b = path_of(t, two), *c = path_of(t, "c");
    assert_int_equal(rename(a, c) | rename(b, a) | rename(c, b), 0);
    free(a);
    free(b);
    free(c);
}

static void remove_file(struct tamper *t)
{
    char name[64];
    size_t len;
    pick(t, 0, name, &len);
    char *path = path_of(t, name);
    assert_int_equal(unlink(path), 0);
    free(path);
}

static void extra_file(struct tamper *t)
{
    static const char *const names[] = {"extra",        ".hidden",     "weights/extra", "a/b/x",
                                        "a/.gitignore", "file-0.binx", "model.sig",     ".gi"};
    kit_write(t->dir, names[t->round % 8], "x", t->round % 2);
}

static void file_to_link(struct tamper *t)
{
    char name[64];
    size_t len;
    pick(t, 0, name, &len);
    char *path = path_of(t, name), *elsewhere;
    assert_true(asprintf(&elsewhere, "%s.elsewhere", t->dir) > 0);
    assert_int_equal(rename(path, elsewhere), 0); /* the same bytes */
    assert_int_equal(symlink(elsewhere, path), 0);
    free(path);
    free(elsewhere);
}

static void folder_to_link(struct tamper *t)
{
    char *path = path_of(t, "weights"), *elsewhere;
    assert_true(asprintf(&elsewhere, "%s.elsewhere", t->dir) > 0);
    assert_int_equal(rename(path, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, path), 0);
    free(path);
    free(elsewhere);
}

static void extra_link(struct tamper *t)
{
    char *path = path_of(t, t->round % 2 ? "link" : ".git");
    assert_int_equal(symlink(t->round % 4 < 2 ? "/etc/passwd" : "nowhere", path), 0);
    free(path);
}

static void extra_pipe(struct tamper *t)
{
    char *path = path_of(t, "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    free(path);
}

static void file_to_folder(struct tamper *t)
{
    char name[64];
    size_t len;
    pick(t, 0, name, &len);
    char *path = path_of(t, name);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
}

static void flip_in_signature(struct tamper *t)
{
    size_t bit = (t->round * 15485863 + t->model * 32452843) % (8 * t->len);
    t->text[bit / 8] ^= (char)(1 << bit % 8);
}

static void cut_signature(struct tamper *t)
{
    t->len -= 1 + (t->round * 37) % (t->len - 1);
}

/* A bit of the statement, encoded again. */
static void flip_in_statement(struct tamper *t)
{
    const char *hint = t->key->public.id;
    char *s = kit_statement(t->text);
    size_t len = strlen(s);
    char *whole = kit_bundle(s, "application/vnd.in-toto+json", &t->key->secret,
                             hint); /* with a good signature of it */
    s[(t->round * 7907) % len] ^= 1;
    char *other = kit_bundle(s, "application/vnd.in-toto+json", &t->key->secret, hint);
    /* The changed statement with the good signature. */
    char *payload = strstr(other, "\"payload\":\""), *end = strstr(payload, "\",\"payloadType\"");
    char *sig = strstr(whole, "\",\"payloadType\""), *out;
    assert_true(asprintf(&out, "%.*s%s", (int)(end - other), other, sig) > 0);
    free(s);
    free(whole);
    free(other);
    set_text(t, out);
}

/* What a statement says, changed and signed by somebody else under the owner's name. */
static void statement_by_another(struct tamper *t)
{
    char *s = kit_statement(t->text);
    set_text(t, kit_bundle(s, "application/vnd.in-toto+json",
                           &t->keys[(t->key - t->keys) ^ 1].secret, t->key->public.id));
    free(s);
}

static void name_replaced(struct tamper *t)
{
    char name[64], from[80], to[80], *s = kit_statement(t->text);
    size_t len;
    pick(t, 0, name, &len);
    snprintf(from, sizeof from, "\"%s\"", name);
    snprintf(to, sizeof to, "\"%s2\"", name);
    char *changed = kit_replace(s, from, to);
    set_text(
        t, kit_bundle(changed, "application/vnd.in-toto+json", &t->key->secret, t->key->public.id));
    free(changed);
    free(s);
}

static char *middle(const char *from, const char *to)
{
    char *s = strndup(from, (size_t)(to - from));
    assert_non_null(s);
    return s;
}

/* The first two files of the list in the other order; signed well, but the root digest is of the
 * order. */
static void order_changed(struct tamper *t)
{
    char *s = kit_statement(t->text), *out;
    char *one = strstr(s, "\"resources\":[") + 13, *two = strstr(one, "},{") + 2,
         *end = strstr(two, "}") + 1;
    char *head = middle(s, one), *first = middle(one, two - 1), *second = middle(two, end);
    assert_true(asprintf(&out, "%s%s,%s%s", head, second, first, end) > 0);
    set_text(t,
             kit_bundle(out, "application/vnd.in-toto+json", &t->key->secret, t->key->public.id));
    free(head);
    free(first);
    free(second);
    free(out);
    free(s);
}

static void statement_changed(struct tamper *t)
{
    static const char *const changes[][2] = {
        {"\"algorithm\":\"sha256\"", "\"algorithm\":\"sha512\""},
        {"\"algorithm\":\"sha256\"", "\"algorithm\":\"blake2b\""},
        {"\"hash_type\":\"sha256\"", "\"hash_type\":\"blake3\""},
        {"\"sha256\":\"", "\"sha512\":\""},
        {"\"sha256\":\"", "\"sha256\":\"0"},
        {"\"method\":\"files\"", "\"method\":\"shards\",\"shard_size\":1000000000"},
        {"Statement/v1", "Statement/v0.1"},
        {"signature/v1.0", "signature/v1.1"},
        {"\".git\"", "\".\""},
        {"\".git\"", "\"../\""},
        {"\"resources\":[",
         "\"resources\":[{\"name\":\"file-0.bin\",\"algorithm\":\"sha256\",\"digest\":\"00\"},"},
        {"\"resources\":[", "\"resources\":[],\"resource\":["},
    };
    const char *const *c = changes[t->round % (sizeof changes / sizeof changes[0])];
    char *s = kit_statement(t->text), *changed = kit_replace(s, c[0], c[1]);
    set_text(
        t, kit_bundle(changed, "application/vnd.in-toto+json", &t->key->secret, t->key->public.id));
    free(changed);
    free(s);
}

static void payload_type(struct tamper *t)
{
    static const char *const types[] = {"application/vnd.in-toto+json;v=1", "application/json", "",
                                        "application/vnd.in-toto+JSON"};
    char *s = kit_statement(t->text);
    set_text(t, kit_bundle(s, types[t->round % 4], &t->key->secret, t->key->public.id));
    free(s);
}

static void payload_type_swapped(struct tamper *t)
{
    set_text(t, kit_replace(t->text, "application/vnd.in-toto+json",
                            t->round % 2 ? "text/plain" : "application/vnd.in-toto+jso"));
}

static void media_type(struct tamper *t)
{
    set_text(t, kit_replace(t->text, "v0.3+json", t->round % 2 ? "v0.4+json" : "v0.1+json"));
}

static void wrong_key(struct tamper *t)
{
    t->with = &t->keys[((t->key - t->keys) + 1 + t->round % (KIT_KEYS - 1)) % KIT_KEYS].public;
}

static void hint_of_another(struct tamper *t)
{
    set_text(t, kit_replace(t->text, t->key->public.id, t->keys[(t->key - t->keys) ^ 1].public.id));
}

/* The other key, and the signature names it. */
static void wrong_key_with_its_hint(struct tamper *t)
{
    hint_of_another(t);
    t->with = &t->keys[(t->key - t->keys) ^ 1].public;
}

static void second_signature(struct tamper *t)
{
    static const char list[] = "\"signatures\":[";
    char *other = kit_sign(t->dir, &t->keys[(t->key - t->keys) ^ 1].secret), *both;
    char *theirs = strstr(other, list) + sizeof list - 1,
         *own = strstr(t->text, list) + sizeof list - 1;
    int n = (int)(strstr(theirs, "]") - theirs), m = (int)(strstr(own, "]") - own);
    if (t->round % 2) /* theirs first, or last */
        assert_true(asprintf(&both, "%.*s%.*s,%s", (int)(own - t->text), t->text, n, theirs, own) >
                    0);
    else
        assert_true(asprintf(&both, "%.*s,%.*s%s", (int)(own - t->text) + m, t->text, n, theirs,
                             own + m) > 0);
    free(other);
    set_text(t, both);
}

static void signature_of_another_model(struct tamper *t)
{
    char *dir = kit_folder();
    kit_model(dir, t->model + 8); /* as many files */
    set_text(t, kit_sign(dir, &t->key->secret));
    kit_remove(dir);
}

/* The signature's bytes of another model in this one's bundle. */
static void signature_bytes_swapped(struct tamper *t)
{
    char *dir = kit_folder(), *out;
    kit_model(dir, t->model + 8);
    char *other = kit_sign(dir, &t->key->secret), *sig = strstr(other, "\"sig\":"),
         *own = strstr(t->text, "\"sig\":");
    assert_true(asprintf(&out, "%.*s%s", (int)(own - t->text), t->text, sig) > 0);
    free(other);
    kit_remove(dir);
    set_text(t, out);
}

static void empty_signature(struct tamper *t)
{
    char *sig = strstr(t->text, "\"sig\":\"") + 7, *end = strstr(sig, "\""), *out;
    static const char *const others[] = {"", "AAAA", "MAYCAQACAQA=" /* r = s = 0 */,
                                         "MAYCAQECAQE=" /* r = s = 1 */};
    assert_true(
        asprintf(&out, "%.*s%s%s", (int)(sig - t->text), t->text, others[t->round % 4], end) > 0);
    set_text(t, out);
}

static void field_twice(struct tamper *t)
{
    static const char *const from[] = {
        "\"payload\":", "\"sig\":", "\"signatures\":", "\"dsseEnvelope\":"};
    char to[64];
    snprintf(to, sizeof to, "%s\"\",%s", from[t->round % 4], from[t->round % 4]);
    set_text(t, kit_replace(t->text, from[t->round % 4], to));
}

static void spaced_base64(struct tamper *t)
{
    static const char *const to[] = {"\"payload\":\" ", "\"payload\":\"\\n",
                                     "\"payload\":\"=", "\"payload\":\"\\u0020"};
    set_text(t, kit_replace(t->text, "\"payload\":\"", to[t->round % 4]));
}

static const struct {
    void (*change)(struct tamper *t);
    const char *name;
    unsigned rounds; /* on how many of the models, one after the other, round and round */
} ways[] = {
    {flip_in_file, "a bit of a file", 150},
    {truncate_file, "a byte less", 30},
    {append_to_file, "a byte more", 30},
    {rename_file, "a file renamed", 40},
    {move_file, "a file moved", 20},
    {swap_files, "two files swapped", 30},
    {remove_file, "a file missing", 40},
    {extra_file, "a file too many", 48},
    {file_to_link, "a link for a file", 30},
    {folder_to_link, "a link for a folder", 20},
    {extra_link, "a link too many", 20},
    {extra_pipe, "a pipe", 5},
    {file_to_folder, "a folder for a file", 20},
    {flip_in_signature, "a bit of the signature file", 200},
    {cut_signature, "a cut signature file", 50},
    {flip_in_statement, "a bit of the statement", 100},
    {statement_by_another, "the statement signed by another", 20},
    {name_replaced, "a name in the statement", 20},
    {order_changed, "the order in the statement", 20},
    {statement_changed, "what the statement says", 48},
    {payload_type, "another type, signed", 20},
    {payload_type_swapped, "another type, not signed", 10},
    {media_type, "another media type", 10},
    {wrong_key, "another key", 50},
    {hint_of_another, "the name of another key", 10},
    {wrong_key_with_its_hint, "another key and its name", 20},
    {second_signature, "two signatures", 20},
    {signature_of_another_model, "another model's signature", 30},
    {signature_bytes_swapped, "another model's signature bytes", 20},
    {empty_signature, "an empty signature", 16},
    {field_twice, "a field twice", 16},
    {spaced_base64, "another base64", 16},
};

static void one(const struct kit_key *keys, unsigned model, unsigned way, unsigned round)
{
    struct tamper t = {.dir = kit_folder(),
                       .model = model,
                       .round = round,
                       .keys = keys,
                       .key = &keys[(model + round) % KIT_MINISIGN]};
    struct error err = {0};
    t.files = kit_model(t.dir, model);
    t.text = kit_sign(t.dir, &t.key->secret);
    t.len = strlen(t.text);
    t.with = &t.key->public;
    if (kit_check(t.text, t.len, t.dir, t.with, &err) != OK)
        fail_msg("model %u before: %s", model, err.msg);
    ways[way].change(&t);
    if (kit_check(t.text, t.len, t.dir, t.with, &err) == OK)
        fail_msg("accepted: %s, model %u, round %u", ways[way].name, model, round);
    if (!err.msg[0]) fail_msg("nothing said: %s", ways[way].name);
    char *elsewhere;
    assert_true(asprintf(&elsewhere, "%s.elsewhere", t.dir) > 0);
    free(t.text);
    kit_remove(t.dir);
    kit_remove(elsewhere);
}

static void nothing_changed_is_accepted(void **state)
{
    struct kit_key *keys = *state;
    for (unsigned m = 0; m < MODELS; m++) {
        char *dir = kit_folder();
        struct error err = {0};
        const struct kit_key *k = &keys[m % KIT_MINISIGN];
        kit_model(dir, m);
        char *text = kit_sign(dir, &k->secret);
        if (kit_check(text, strlen(text), dir, &k->public, &err) != OK)
            fail_msg("model %u: %s", m, err.msg);
        kit_write(dir, ".gitattributes", "x", 1); /* left out, as the signature says */
        if (kit_check(text, strlen(text), dir, &k->public, &err) != OK)
            fail_msg("model %u: %s", m, err.msg);
        free(text);
        kit_remove(dir);
    }
}

static void no_change_is_accepted(void **state)
{
    unsigned total = 0;
    for (unsigned way = 0; way < sizeof ways / sizeof ways[0]; way++)
        for (unsigned round = 0; round < ways[way].rounds; round++, total++)
            one(*state, total % MODELS, way, round);
    assert_true(total >= 1000);
    print_message("%u changes, none accepted\n", total);
}

/* Every bit of one signature file, of each curve. */
static void every_bit_of_a_signature(void **state)
{
    struct kit_key *keys = *state;
    char *dir = kit_folder();
    struct error err = {0};
    kit_write(dir, "f", "abc", 3);
    for (int i = 0; i < KIT_MINISIGN; i += 2) {
        char *text = kit_sign(dir, &keys[i].secret);
        size_t len = strlen(text);
        for (size_t bit = 0; bit < 8 * len; bit += i ? 5 : 1) {
            text[bit / 8] ^= (char)(1 << bit % 8);
            if (kit_check(text, len, dir, &keys[i].public, &err) == OK)
                fail_msg("bit %zu may be changed", bit);
            text[bit / 8] ^= (char)(1 << bit % 8);
        }
        assert_int_equal(kit_check(text, len, dir, &keys[i].public, &err), OK);
        free(text);
    }
    kit_remove(dir);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_changed_is_accepted),
                                       cmocka_unit_test(no_change_is_accepted),
                                       cmocka_unit_test(every_bit_of_a_signature)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
