/* Files on the Hugging Face hub, or on a mirror that speaks as it does:
 * ENDPOINT/REPO/resolve/REV/FILE answers with headers X-Linked-Etag (the SHA-256 of a large file,
 * in quotes) and X-Linked-Size, and redirects to where the bytes are. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/http.h"
#include "store/source_http.h"
#include "store/store_int.h"

static const char public_hub[] = "https://huggingface.co";

enum status hub_endpoint(char *dst, size_t cap, struct error *err)
{
    const char *v = getenv("HF_ENDPOINT");
    if (!v || !*v) v = public_hub;
    size_t len = strlen(v);
    while (len > 0 && v[len - 1] == '/') len--;
    if (len >= cap) return error_set(err, ERR_INVALID, "HF_ENDPOINT is too long");
    memcpy(dst, v, len);
    dst[len] = 0;
    struct error why;
    if (http_url_check(dst, false, &why) != OK)
        return error_set(err, ERR_INVALID, "HF_ENDPOINT: %s", why.msg);
    return OK;
}

static const char *text(const json_t *spec, const char *field, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(spec, field));
    return s ? s : otherwise;
}

/* Letters, digits, and "._-/"; no empty, "." or ".." segment. `slashes` = SIZE_MAX: any number. */
static bool plain_path(const char *s, size_t slashes)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/+ ()";
    size_t len = strlen(s), n = 0;
    if (len == 0 || len > 255 || strspn(s, allowed) != len) return false;
    for (const char *seg = s;;) {
        size_t l = strcspn(seg, "/");
        if (l == 0 || strspn(seg, ".") >= l) return false;
        if (!seg[l]) break;
        n++;
        seg += l + 1;
    }
    return slashes == SIZE_MAX || n == slashes;
}

static enum status hub_check(const json_t *spec, const char *digest, struct error *err)
{
    (void)digest;
    if (!plain_path(text(spec, "repo", ""), 1))
        return error_set(err, ERR_FORMAT, "\"repo\" must be OWNER/NAME");
    if (!plain_path(text(spec, "file", ""), SIZE_MAX))
        return error_set(err, ERR_FORMAT, "\"file\" must be a plain path");
    if (!plain_path(text(spec, "revision", "main"), SIZE_MAX))
        return error_set(err, ERR_FORMAT, "\"revision\" must be a branch, tag or commit");
    return OK;
}

static void hub_describe(const json_t *spec, char *dst, size_t cap)
{
    char endpoint[512], host[256] = "hub";
    if (hub_endpoint(endpoint, sizeof endpoint, NULL) == OK)
        http_url_host(endpoint, host, sizeof host);
    snprintf(dst, cap, "%s (%s)", host, text(spec, "repo", ""));
}

static enum status add_escaped(struct buf *b, const char *s)
{
    enum status st = OK;
    for (; st == OK && *s; s++) {
        bool plain = (*s >= '0' && *s <= '9') || (*s >= 'A' && *s <= 'Z') ||
                     (*s >= 'a' && *s <= 'z') || strchr("._-/", *s);
        st = plain ? buf_append(b, s, 1) : buf_printf(b, "%%%02X", (unsigned)(unsigned char)*s);
    }
    return st;
}

static enum status hub_url(const json_t *spec, struct buf *url, struct error *err)
{
    char endpoint[512];
    enum status st = hub_endpoint(endpoint, sizeof endpoint, err);
    if (st) return st;
    buf_init(url, 4096);
    if ((st = buf_append_str(url, endpoint)) || (st = buf_append_str(url, "/")) ||
        (st = add_escaped(url, text(spec, "repo", ""))) ||
        (st = buf_append_str(url, "/resolve/")) ||
        (st = add_escaped(url, text(spec, "revision", "main"))) ||
        (st = buf_append_str(url, "/")) || (st = add_escaped(url, text(spec, "file", ""))))
        return error_set(err, st, "cannot build the hub's URL: %s", status_name(st));
    return OK;
}

static const char *hub_token(void)
{
    const char *t = getenv("HF_TOKEN");
    return t && *t ? t : NULL;
}

static enum status hub_probe(const json_t *spec, const struct store *store,
                             const struct store_events *events, struct source_facts *out,
                             struct error *err)
{
    (void)store;
    struct buf url = {0};
    enum status st = hub_url(spec, &url, err);
    if (st == OK) {
        struct http_request rq = {
            .url = url.data, .head = true, .token = hub_token(), .events = events};
        struct http_answer a;
        bool again = true;
        for (int i = 0; i < 3; i++) {
            st = http_request_run(&rq, &a, &again, err);
            if (st != ERR_NETWORK || !again) break;
        }
        *out = (struct source_facts){0};
        memcpy(out->digest, a.linked_digest, sizeof out->digest);
        out->bytes = a.linked_size;
    }
    buf_fini(&url);
    return st;
}

static enum status hub_fetch(const json_t *spec, struct fetch *f, struct error *err)
{
    struct buf url = {0};
    enum status st = hub_url(spec, &url, err);
    if (st == OK) st = http_download(url.data, hub_token(), false, f, err);
    buf_fini(&url);
    return st;
}

static enum status hub_mend(const json_t *spec, struct mend *m, struct error *err)
{
    struct buf url = {0};
    enum status st = hub_url(spec, &url, err);
    if (st == OK) st = http_mend(url.data, hub_token(), false, m, err);
    buf_fini(&url);
    return st;
}

const struct source_type source_hub = {
    .name = "hub",
    .check = hub_check,
    .describe = hub_describe,
    .probe = hub_probe,
    .fetch = hub_fetch,
    .mend = hub_mend,
};

json_t *hub_spec_from_url(const char *url)
{
    static const char *const prefixes[] = {"https://huggingface.co/", "https://hf.co/"};
    char endpoint[512];
    const char *rest = NULL;
    for (size_t i = 0; !rest && i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(url, prefixes[i], strlen(prefixes[i])) == 0) rest = url + strlen(prefixes[i]);
    if (!rest && hub_endpoint(endpoint, sizeof endpoint, NULL) == OK) {
        size_t len = strlen(endpoint);
        if (strncmp(url, endpoint, len) == 0 && url[len] == '/') rest = url + len + 1;
    }
    if (!rest) return NULL;
    char owner[128], name[128], verb[16], rev[128], file[256];
    int n = sscanf(rest, "%127[^/?#]/%127[^/?#]/%15[^/?#]/%127[^/?#]/%255[^?#]", owner, name, verb,
                   rev, file);
    if (n != 5 || (strcmp(verb, "resolve") != 0 && strcmp(verb, "blob") != 0)) return NULL;
    char repo[260];
    snprintf(repo, sizeof repo, "%s/%s", owner, name);
    json_t *spec = json_pack("{s:s, s:s, s:s, s:s}", "type", "hub", "repo", repo, "revision", rev,
                             "file", file);
    if (spec && hub_check(spec, NULL, NULL) != OK) {
        json_decref(spec);
        spec = NULL;
    }
    return spec;
}
