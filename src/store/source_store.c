/* Another store on this machine, Hearth's or Ollama's: where the file system can share blocks nothing
 * is copied. What its manifests say is checked like anything else from outside. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "store/oci_registry.h"
#include "store/source.h"

static const char *text(const json_t *spec, const char *field)
{
    const char *s = json_string_value(json_object_get(spec, field));
    return s ? s : "";
}

static enum status check(const json_t *spec, const char *digest, struct error *err)
{
    char family[STORE_PART_SIZE], tag[STORE_PART_SIZE];
    (void)digest;
    if (!*text(spec, "path")) return error_set(err, ERR_FORMAT, "\"path\" is missing");
    return store_name_split(text(spec, "name"), family, tag, err);
}

static void describe(const json_t *spec, char *dst, size_t cap)
{
    snprintf(dst, cap, "store %s", text(spec, "path"));
}

static enum status read_json(const char *path, json_t **out)
{
    struct stat sb;
    struct buf b;
    *out = NULL;
    if (lstat(path, &sb) != 0 || !S_ISREG(sb.st_mode)) return ERR_NOT_FOUND;
    buf_init(&b, 4 << 20);
    enum status st = file_read_all(path, &b, NULL);
    if (st == OK && b.len) *out = json_loadb(b.data, b.len, JSON_REJECT_DUPLICATES, NULL);
    buf_fini(&b);
    return *out ? OK : ERR_FORMAT;
}

/* The digest that the name has there. */
static enum status digest_there(const json_t *spec, char digest[65], struct error *err)
{
    char family[STORE_PART_SIZE], tag[STORE_PART_SIZE];
    enum status st = store_name_split(text(spec, "name"), family, tag, err);
    json_t *j = NULL;
    for (size_t i = 0; st == OK && !j && i < 3; i++) {
        char *path;
        if (asprintf(&path, i == 0   ? "%s/manifests/%s/%s.json"
                            : i == 1 ? "%s/manifests/registry.ollama.ai/library/%s/%s"
                                     : "%s/models/manifests/registry.ollama.ai/library/%s/%s",
                     text(spec, "path"), family, tag[0] ? tag : "latest") < 0)
            return error_set(err, ERR_NOMEM, "out of memory");
        read_json(path, &j);
        free(path);
    }
    if (st) return st;
    if (!j)
        return error_set(err, ERR_NOT_FOUND, "the store %s has no model %s", text(spec, "path"),
                         text(spec, "name"));
    const char *own = json_string_value(json_object_get(j, "sha256"));
    uint64_t bytes;
    st = ERR_NOT_FOUND;
    if (own && store_digest_valid(own)) {
        memcpy(digest, own, 65);
        st = OK;
    }
    size_t i;
    json_t *layer;
    json_array_foreach(json_object_get(j, "layers"), i, layer)
    {
        if (st == OK || strcmp(text(layer, "mediaType"), "application/vnd.ollama.image.model") != 0)
            continue;
        st = registry_layer(layer, digest, &bytes, NULL);
    }
    json_decref(j);
    return st ? error_set(err, ERR_FORMAT, "the manifest of %s there names no model file",
                          text(spec, "name"))
              : OK;
}

/* The file source of the blob. */
static enum status blob_spec(const json_t *spec, json_t **out, struct error *err)
{
    char digest[65], *path = NULL;
    struct stat sb;
    *out = NULL;
    enum status st = digest_there(spec, digest, err);
    for (int i = 0; st == OK && i < 2; i++) {
        free(path);
        if (asprintf(&path, "%s/%sblobs/sha256-%s", text(spec, "path"), i ? "models/" : "", digest) < 0)
            return error_set(err, ERR_NOMEM, "out of memory");
        if (lstat(path, &sb) == 0) break;
        if (i == 1) st = error_set(err, ERR_NOT_FOUND, "cannot open %s: %s", path, strerror(errno));
    }
    if (st == OK && !S_ISREG(sb.st_mode))
        st = error_set(err, ERR_FORMAT, "%s is no plain file", path);
    if (st == OK) *out = json_pack("{s:s, s:s}", "type", "file", "path", path);
    if (st == OK && !*out) st = error_set(err, ERR_NOMEM, "out of memory");
    free(path);
    return st;
}

static enum status probe(const json_t *spec, const struct store *store,
                         const struct store_events *ev, struct source_facts *out, struct error *err)
{
    json_t *file;
    char due[65];
    *out = (struct source_facts){0};
    enum status st = digest_there(spec, due, err);
    if (st == OK) st = blob_spec(spec, &file, err);
    if (st) return st;
    st = source_file.probe(file, store, ev, out, err);
    if (st == OK && strcmp(out->digest, due) != 0)
        st = error_set(err, ERR_INTEGRITY, "its file is damaged: SHA-256 %s, and its manifest has %s",
                       out->digest, due);
    json_decref(file);
    return st;
}

static enum status fetch(const json_t *spec, struct fetch *f, struct error *err)
{
    json_t *file;
    enum status st = blob_spec(spec, &file, err);
    if (st == OK) st = source_file.fetch(file, f, err);
    json_decref(file);
    return st;
}

static enum status mend(const json_t *spec, struct mend *m, struct error *err)
{
    json_t *file;
    enum status st = blob_spec(spec, &file, err);
    if (st == OK) st = source_file.mend(file, m, err);
    json_decref(file);
    return st;
}

const struct source_type source_store = {
    .name = "store",
    .check = check,
    .describe = describe,
    .probe = probe,
    .fetch = fetch,
    .mend = mend,
};
