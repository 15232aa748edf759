/* Models in registries: Ollama's, and any other that speaks the OCI protocol. Both name a manifest,
 * one of whose layers is the model's file. */
#include <stdlib.h>
#include <string.h>

#include "store/http.h"
#include "store/partial.h"
#include "store/oci_registry.h"
#include "store/source_http.h"

static const char ollama_host[] = "registry.ollama.ai";

static const char *text(const json_t *spec, const char *field, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(spec, field));
    return s ? s : otherwise;
}

/* $HEARTH_OLLAMA_REGISTRY is a mirror of the public one: "https://mirror.example". */
static enum status ref_of(const json_t *spec, struct registry_ref *ref, struct error *err)
{
    const char *host = text(spec, "host", ollama_host), *mirror = NULL;
    if (strcmp(host, ollama_host) == 0) mirror = getenv("HEARTH_OLLAMA_REGISTRY");
    return registry_ref_make(host, text(spec, "repo", ""), text(spec, "tag", "latest"), mirror, ref, err);
}

static enum status check(const json_t *spec, const char *digest, struct error *err)
{
    struct registry_ref ref;
    (void)digest;
    return ref_of(spec, &ref, err);
}

static void describe(const json_t *spec, char *dst, size_t cap)
{
    struct registry_ref ref;
    if (ref_of(spec, &ref, NULL) != OK) ref.host[0] = 0;
    snprintf(dst, cap, "registry %s (%s)", ref.host, text(spec, "repo", ""));
}

/* Media types that say what a layer is. */
static bool is_model(const char *type)
{
    static const char *const known[] = {
        "application/vnd.ollama.image.model",
        "application/vnd.docker.ai.gguf.v3",
        "application/vnd.gguf",
        "application/x-gguf",
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(type, known[i]) == 0) return true;
    return false;
}

static bool has_gguf_title(const json_t *layer)
{
    const char *t = json_string_value(json_object_get(json_object_get(layer, "annotations"),
                                                      "org.opencontainers.image.title"));
    size_t n = t ? strlen(t) : 0;
    return n > 5 && strcmp(t + n - 5, ".gguf") == 0;
}

/* The layer that is the model; with one layer alone its type does not matter. */
static enum status model_layer(const json_t *manifest, const json_t **out, struct error *err)
{
    const json_t *layers = json_object_get(manifest, "layers"), *layer;
    size_t i, n = 0;
    *out = NULL;
    json_array_foreach(layers, i, layer)
    {
        const char *type = json_string_value(json_object_get(layer, "mediaType"));
        if (!(type && is_model(type)) && !has_gguf_title(layer)) continue;
        *out = layer;
        n++;
    }
    if (n == 0 && json_array_size(layers) == 1) {
        *out = json_array_get(layers, 0);
        n = 1;
    }
    if (n == 1) return OK;
    return error_set(err, ERR_UNSUPPORTED,
                     n ? "its model is in several files, which cannot be pulled from a registry"
                       : "it holds no model file");
}

static enum status ask(const json_t *spec, const struct store_events *ev, struct registry_ref *ref,
                       char token[REGISTRY_TOKEN_SIZE], char digest[65], uint64_t *bytes,
                       struct error *err)
{
    json_t *manifest = NULL;
    const json_t *layer;
    enum status st = ref_of(spec, ref, err);
    if (st == OK) st = registry_manifest(ref, ev, &manifest, token, err);
    if (st == OK) st = model_layer(manifest, &layer, err);
    if (st == OK) st = registry_layer(layer, digest, bytes, err);
    json_decref(manifest);
    return st;
}

static enum status probe(const json_t *spec, const struct store *store,
                         const struct store_events *ev, struct source_facts *out, struct error *err)
{
    struct registry_ref ref;
    char token[REGISTRY_TOKEN_SIZE];
    (void)store;
    *out = (struct source_facts){0};
    return ask(spec, ev, &ref, token, out->digest, &out->bytes, err);
}

/* The manifest is asked for once more: it brings the token, and tells whether it still names the
 * file that is wanted. */
static enum status blob(const json_t *spec, const char *digest, const struct store_events *ev,
                        char token[REGISTRY_TOKEN_SIZE], uint64_t *bytes, char **url,
                        struct error *err)
{
    struct registry_ref ref;
    char now[65];
    *url = NULL;
    enum status st = ask(spec, ev, &ref, token, now, bytes, err);
    if (st) return st;
    if (strcmp(now, digest) != 0)
        return error_set(err, ERR_INTEGRITY,
                         "the registry has another file there now (SHA-256 %s, not %s)", now, digest);
    return registry_blob_url(&ref, digest, url, err);
}

static enum status fetch(const json_t *spec, struct fetch *f, struct error *err)
{
    char token[REGISTRY_TOKEN_SIZE], *url;
    uint64_t bytes;
    enum status st = blob(spec, f->digest, f->events, token, &bytes, &url, err);
    if (st == OK) st = partial_expect(f->part, bytes, err);
    if (st == OK) st = http_download(url, token[0] ? token : NULL, false, f, err);
    free(url);
    return st;
}

static enum status mend(const json_t *spec, struct mend *m, struct error *err)
{
    char token[REGISTRY_TOKEN_SIZE], *url;
    uint64_t bytes;
    enum status st = blob(spec, m->digest, m->events, token, &bytes, &url, err);
    if (st == OK) st = http_mend(url, token[0] ? token : NULL, false, m, err);
    free(url);
    return st;
}

/* [HOST/]REPO[:TAG] or ...@sha256:HEX behind the scheme. A first segment with a dot or a port is a
 * host, as everywhere with registries. */
static enum status take_apart(const char *rest, const char *type, const char *host, json_t **out,
                              char name[STORE_NAME_SIZE], struct error *err)
{
    char own_host[264] = "", path[400], *repo = path;
    if (strlen(rest) >= sizeof path)
        return error_set(err, ERR_INVALID, "the name of the model is too long");
    memcpy(path, rest, strlen(rest) + 1);
    char *slash = strchr(path, '/');
    if (slash && ((size_t)(slash - path) > strcspn(path, ".:") || strncmp(path, "localhost/", 10) == 0)) {
        snprintf(own_host, sizeof own_host, "%.*s", (int)(slash - path), path);
        host = own_host;
        repo = slash + 1;
    }
    char *last = strrchr(repo, '/'), *at = strchr(repo, '@');
    char *colon = strchr(last ? last : repo, ':');
    const char *tag = "latest", *shown = "latest";
    if (at) {
        *at = 0;
        tag = at + 1;
        if (colon && colon < at) {
            *colon = 0;
            shown = colon + 1;
        }
    } else if (colon) {
        *colon = 0;
        tag = shown = colon + 1;
    }
    last = strrchr(repo, '/');
    snprintf(name, STORE_NAME_SIZE, "%.64s:%.64s", last ? last + 1 : repo, shown);
    bool bare = !last && strcmp(type, "ollama") == 0;
    char full[420];
    snprintf(full, sizeof full, "%s%s", bare ? "library/" : "", repo);
    if (!host) return error_set(err, ERR_INVALID, "an oci:// name begins with the registry's host");
    *out = json_pack("{s:s, s:s, s:s, s:s}", "type", type, "host", host, "repo", full, "tag", tag);
    if (!*out) return error_set(err, ERR_INVALID, "the name of the model is not UTF-8");
    enum status st = check(*out, NULL, err);
    if (st == OK) return OK;
    json_decref(*out);
    *out = NULL;
    return st;
}

static enum status ollama_url(const char *url, json_t **out, char name[STORE_NAME_SIZE],
                              struct error *err)
{
    if (strncmp(url, "ollama://", 9) != 0) return OK;
    return take_apart(url + 9, "ollama", ollama_host, out, name, err);
}

static enum status oci_url(const char *url, json_t **out, char name[STORE_NAME_SIZE],
                           struct error *err)
{
    if (strncmp(url, "oci://", 6) != 0) return OK;
    return take_apart(url + 6, "oci", NULL, out, name, err);
}

const struct source_type source_ollama = {
    .name = "ollama",
    .check = check,
    .describe = describe,
    .probe = probe,
    .fetch = fetch,
    .mend = mend,
    .from_url = ollama_url,
};

const struct source_type source_oci = {
    .name = "oci",
    .check = check,
    .describe = describe,
    .probe = probe,
    .fetch = fetch,
    .mend = mend,
    .from_url = oci_url,
};
