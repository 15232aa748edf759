#include "store/oci_registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/sha256.h"
#include "store/http_text.h"

static const char accepted[] = "application/vnd.docker.distribution.manifest.v2+json, "
                               "application/vnd.oci.image.manifest.v1+json";

/* ---- references --------------------------------------------------------------------------- */

/* Segments of lower-case letters, digits and single separators, as the specification has them. */
bool registry_repo_valid(const char *s)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (!*s || strlen(s) > 255) return false;
    for (;;) {
        size_t n = strspn(s, allowed);
        if (n == 0 || !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", *s)) return false;
        s += n;
        if (!*s) return true;
        if (*s++ != '/') return false;
    }
}

bool registry_tag_valid(const char *s)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (strncmp(s, "sha256:", 7) == 0) return store_digest_valid(s + 7);
    size_t n = strspn(s, allowed);
    return n > 0 && n <= 128 && !s[n] && *s != '.' && *s != '-';
}

static bool host_valid(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");
    if (n == 0 || strlen(s) > 255 || *s == '.' || *s == '-') return false;
    if (!s[n]) return true;
    size_t d = s[n] == ':' ? strspn(s + n + 1, "0123456789") : 0;
    return d > 0 && d <= 5 && !s[n + 1 + d];
}

enum status registry_ref_make(const char *host, const char *repo, const char *tag,
                              const char *endpoint, struct registry_ref *out, struct error *err)
{
    if (!registry_repo_valid(repo))
        return error_set(err, ERR_INVALID, "'%.80s' is no repository of a registry", repo);
    if (!registry_tag_valid(tag)) return error_set(err, ERR_INVALID, "'%.80s' is no tag or digest", tag);
    *out = (struct registry_ref){0};
    snprintf(out->repo, sizeof out->repo, "%s", repo);
    snprintf(out->tag, sizeof out->tag, "%s", tag);
    if (endpoint && *endpoint) {
        size_t len = strlen(endpoint);
        while (len && endpoint[len - 1] == '/') len--;
        if (len >= sizeof out->host) return error_set(err, ERR_INVALID, "the registry's URL is too long");
        snprintf(out->base, sizeof out->base, "%.*s", (int)len, endpoint);
        const char *after = strstr(out->base, "://");
        snprintf(out->host, sizeof out->host, "%.263s", after ? after + 3 : out->base);
        return http_url_check(out->base, false, err);
    }
    if (!host || !host_valid(host))
        return error_set(err, ERR_INVALID, "'%.80s' is no registry's host", host ? host : "");
    if (strcasecmp(host, "docker.io") == 0) host = "registry-1.docker.io";
    snprintf(out->host, sizeof out->host, "%s", host);
    snprintf(out->base, sizeof out->base, "http://%s", host);
    if (!http_url_is_loopback(out->base)) snprintf(out->base, sizeof out->base, "https://%s", host);
    return http_url_check(out->base, false, err);
}

/* ---- tokens ------------------------------------------------------------------------------- */

/* The value of `name="..."` in a challenge. */
static bool challenge_field(const char *c, const char *name, char *dst, size_t cap)
{
    size_t n = strlen(name);
    for (const char *p = c; (p = strchr(p, '=')); p++) {
        if ((size_t)(p - c) < n || strncasecmp(p - n, name, n) != 0 || p[1] != '"') continue;
        if (p - n > c && !strchr(" ,", p[-(long)n - 1])) continue;
        size_t len = strcspn(p + 2, "\"");
        if (!p[2 + len] || len >= cap) return false;
        memcpy(dst, p + 2, len);
        dst[len] = 0;
        return true;
    }
    return false;
}

/* "USER:PASSWORD" for this registry, or NULL. Borrowed from the environment. */
static const char *login_for(const struct registry_ref *ref)
{
    const char *v = getenv("HEARTH_REGISTRY_AUTH");
    size_t n = strlen(ref->host);
    return v && strncasecmp(v, ref->host, n) == 0 && v[n] == '=' ? v + n + 1 : NULL;
}

static bool realm_allowed(const struct registry_ref *ref, const char *realm)
{
    if (http_same_origin(ref->base, realm)) return true;
    return strcmp(ref->base, "https://registry-1.docker.io") == 0 &&
           http_same_origin(realm, "https://auth.docker.io");
}

static enum status add_query(struct buf *b, const char *s)
{
    enum status st = OK;
    for (; st == OK && *s; s++) {
        bool plain = (*s >= '0' && *s <= '9') || (*s >= 'A' && *s <= 'Z') ||
                     (*s >= 'a' && *s <= 'z') || strchr("._-/:", *s);
        st = plain ? buf_append(b, s, 1) : buf_printf(b, "%%%02X", (unsigned)(unsigned char)*s);
    }
    return st;
}

enum status registry_login(const struct registry_ref *ref, const char *challenge,
                           const char *actions, const struct store_events *ev,
                           char token[REGISTRY_TOKEN_SIZE], struct error *err)
{
    char realm[512], service[256] = "";
    token[0] = 0;
    if (strncasecmp(challenge, "Bearer ", 7) != 0 ||
        !challenge_field(challenge, "realm", realm, sizeof realm))
        return error_set(err, ERR_NETWORK, "%s asks for a login of a kind that is not known",
                         ref->host);
    challenge_field(challenge, "service", service, sizeof service);
    if (strpbrk(realm, "#?") || http_url_check(realm, false, err) != OK || !realm_allowed(ref, realm))
        return error_set(err, ERR_NETWORK,
                         "%s sends its logins to another place (%.200s), which was refused",
                         ref->host, realm);
    struct buf url;
    json_t *j = NULL;
    struct http_answer a;
    buf_init(&url, 4096);
    enum status st = OK;
    if ((st = buf_append_str(&url, realm)) || (st = buf_append_str(&url, "?service=")) ||
        (st = add_query(&url, service)) || (st = buf_append_str(&url, "&scope=repository:")) ||
        (st = add_query(&url, ref->repo)) || (st = buf_append_str(&url, ":")) ||
        (st = buf_append_str(&url, actions)))
        st = error_set(err, st, "cannot build the URL of a token: %s", status_name(st));
    struct http_request rq = {
        .url = url.data, .login = login_for(ref), .token_from = "HEARTH_REGISTRY_AUTH", .events = ev};
    if (st == OK) st = http_json(&rq, NULL, &j, &a, err);
    if (st == OK) {
        const char *t = json_string_value(json_object_get(j, "token"));
        if (!t) t = json_string_value(json_object_get(j, "access_token"));
        if (!t || !*t || strlen(t) >= REGISTRY_TOKEN_SIZE)
            st = error_set(err, ERR_NETWORK, "%s gave no token that can be used", ref->host);
        else
            memcpy(token, t, strlen(t) + 1);
    }
    json_decref(j);
    buf_fini(&url);
    return st;
}

/* ---- manifests ---------------------------------------------------------------------------- */

static enum status manifest_check(const struct registry_ref *ref, const json_t *j,
                                  const struct buf *body, struct error *err)
{
    if (strncmp(ref->tag, "sha256:", 7) == 0) {
        uint8_t bin[SHA256_BYTES];
        char hex[SHA256_HEX_SIZE];
        enum status st = sha256_of(body->data, body->len, bin);
        if (st) return error_set(err, st, "cannot hash the manifest: %s", status_name(st));
        sha256_hex(bin, hex);
        if (strcmp(hex, ref->tag + 7) != 0)
            return error_set(err, ERR_INTEGRITY, "%s sent another manifest than the one named",
                             ref->host);
    }
    if (json_is_array(json_object_get(j, "manifests")))
        return error_set(err, ERR_UNSUPPORTED,
                         "%s holds an index of several there; name one by its digest", ref->host);
    if (json_integer_value(json_object_get(j, "schemaVersion")) != 2 ||
        !json_is_array(json_object_get(j, "layers")))
        return error_set(err, ERR_FORMAT, "%s sent no manifest of version 2", ref->host);
    return OK;
}

enum status registry_manifest(const struct registry_ref *ref, const struct store_events *ev,
                              json_t **out, char token[REGISTRY_TOKEN_SIZE], struct error *err)
{
    char url[800];
    struct http_answer a;
    struct buf body;
    *out = NULL;
    token[0] = 0;
    snprintf(url, sizeof url, "%s/v2/%s/manifests/%s", ref->base, ref->repo, ref->tag);
    struct http_request rq = {
        .url = url, .accept = accepted, .token_from = "HEARTH_REGISTRY_AUTH", .events = ev};
    buf_init(&body, HTTP_TEXT_MAX);
    enum status st = http_json(&rq, &body, out, &a, err);
    if (st == ERR_NETWORK && a.code == 401 && a.challenge[0]) {
        char challenge[sizeof a.challenge];
        memcpy(challenge, a.challenge, sizeof challenge);
        st = registry_login(ref, challenge, "pull", ev, token, err);
        rq.token = token;
        if (st == OK) st = http_json(&rq, &body, out, &a, err);
    }
    if (st == OK) st = manifest_check(ref, *out, &body, err);
    buf_fini(&body);
    if (st) {
        json_decref(*out);
        *out = NULL;
    }
    return st;
}

enum status registry_layer(const json_t *layer, char digest[65], uint64_t *bytes, struct error *err)
{
    const char *d = json_string_value(json_object_get(layer, "digest"));
    json_int_t size = json_integer_value(json_object_get(layer, "size"));
    if (!d || strncmp(d, "sha256:", 7) != 0 || !store_digest_valid(d + 7))
        return error_set(err, ERR_FORMAT, "a digest of the manifest is no SHA-256: '%.90s'", d ? d : "");
    if (size <= 0 || size > (json_int_t)1 << 46)
        return error_set(err, ERR_FORMAT, "a size in the manifest makes no sense: %lld",
                         (long long)size);
    memcpy(digest, d + 7, 65);
    *bytes = (uint64_t)size;
    return OK;
}

enum status registry_blob_url(const struct registry_ref *ref, const char *digest, char **out,
                              struct error *err)
{
    *out = NULL;
    if (!store_digest_valid(digest)) return error_set(err, ERR_INVALID, "'%.80s' is no digest", digest);
    if (asprintf(out, "%s/v2/%s/blobs/sha256:%s", ref->base, ref->repo, digest) >= 0) return OK;
    *out = NULL;
    return error_set(err, ERR_NOMEM, "out of memory");
}
