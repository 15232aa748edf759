#include "kit.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sha256.h"

struct store *kit_store(void)
{
    const char *tmp = getenv("TMPDIR");
    char dir[512];
    snprintf(dir, sizeof dir, "%s/hearth-store-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(dir));
    char path[600];
    snprintf(path, sizeof path, "%s/catalogue.json", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("{\"version\": 1, \"replace\": true, \"models\": []}", f);
    fclose(f);
    struct store *s;
    struct error err = {0};
    if (store_open(dir, &s, &err) != OK) fail_msg("%s", err.msg);
    return s;
}

void kit_drop(struct store *s)
{
    store_remove_tree(store_root(s));
    store_close(s);
}

static void full_path(const struct store *s, const char *rel, char *dst, size_t cap)
{
    snprintf(dst, cap, "%s/%s", store_root(s), rel);
}

void kit_write(const struct store *s, const char *rel, const void *data, size_t len)
{
    char path[1024];
    full_path(s, rel, path, sizeof path);
    assert_int_equal(store_make_parent(path, NULL), OK);
    FILE *f = fopen(path, "w");
    if (!f) fail_msg("%s: %s", path, strerror(errno));
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

bool kit_exists(const struct store *s, const char *rel)
{
    char path[1024];
    struct stat sb;
    full_path(s, rel, path, sizeof path);
    return lstat(path, &sb) == 0;
}

const char *kit_digest(const char *text, char hex[65])
{
    uint8_t bin[SHA256_BYTES];
    assert_int_equal(sha256_of(text, strlen(text), bin), OK);
    sha256_hex(bin, hex);
    return hex;
}

void kit_install(const struct store *s, const char *name, const char *content)
{
    char hex[65], rel[128];
    struct error err = {0};
    snprintf(rel, sizeof rel, "blobs/sha256-%s", kit_digest(content, hex));
    kit_write(s, rel, content, strlen(content));
    json_t *model = json_pack("{s:s, s:s}", "name", name, "title", "A test");
    struct manifest m = {.name = name,
                         .sha256 = hex,
                         .source = "a test",
                         .digest_from = "catalogue",
                         .bytes = strlen(content),
                         .model = model};
    if (manifest_write(s, &m, &err) != OK) fail_msg("%s", err.msg);
    json_decref(model);
}
