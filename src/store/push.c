#include "store/push.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/sha256.h"
#include "store/http.h"
#include "store/http_curl.h"
#include "store/oci_registry.h"
#include "store/reach.h"
#include "store/store_int.h"

enum { CHUNK = 64 << 20, MAX_URL = 4096, MAX_ANSWER = 1 << 16, CONNECT_SECONDS = 20 };

/* A piece of a manifest: a file, or a text in memory. */
struct layer {
    const char *type;
    char digest[72]; /* "sha256:HEX" */
    uint64_t bytes;
    const char *path; /* or NULL */
    char *text;       /* owned; or NULL */
};

struct pushing {
    const struct store_events *ev;
    const struct push_request *rq;
    char base[1024];  /* https://HOST/v2/REPOSITORY */
    char origin[512]; /* https://HOST */
    char tag[STORE_PART_SIZE * 2];
    CURL *curl;
    struct error *err;
};

/* One request. */
struct exchange {
    struct pushing *p;
    const struct layer *layer; /* whose bytes are sent; or NULL */
    int fd;
    uint64_t at, end; /* of the layer */
    const char *text; /* sent instead */
    struct buf answer;
    char location[MAX_URL];
    bool cancelled;
};

/* ---- the destination --------------------------------------------------------------------------
 */

/* Registries take lower case only, and a push makes a tag, not a digest. */
static bool fits(const char *repository, const char *tag)
{
    for (const char *c = repository; *c; c++)
        if (*c >= 'A' && *c <= 'Z') return false;
    return registry_repo_valid(repository) && registry_tag_valid(tag) && !strchr(tag, ':');
}

static enum status set_destination(struct pushing *p)
{
    char family[STORE_PART_SIZE], tag[STORE_PART_SIZE], host[256], repository[256];
    const char *d = p->rq->destination, *scheme = "https", *at = d;
    enum status st = store_name_split(p->rq->name, family, tag, p->err);
    if (st != OK) return st;
    if (strncmp(d, "http://", 7) == 0)
        scheme = "http", at = d + 7;
    else if (strncmp(d, "https://", 8) == 0)
        at = d + 8;
    else if (strncmp(d, "oci://", 6) == 0)
        at = d + 6;
    else if (strncmp(d, "ollama://", 9) == 0)
        at = d + 9;
    const char *slash = strchr(at, '/'), *colon = slash ? strchr(slash, ':') : NULL;
    size_t n_host = slash ? (size_t)(slash - at) : 0;
    if (!slash || n_host == 0 || n_host >= sizeof host || strlen(slash + 1) >= sizeof repository)
        return error_set(p->err, ERR_INVALID,
                         "'%.100s' is no place for a model: give HOST/REPOSITORY[:TAG]", d);
    snprintf(host, sizeof host, "%.*s", (int)n_host, at);
    snprintf(repository, sizeof repository, "%.*s",
             (int)(colon ? colon - slash - 1 : (ptrdiff_t)strlen(slash + 1)), slash + 1);
    snprintf(p->tag, sizeof p->tag, "%.127s", colon ? colon + 1 : tag);
    if (!fits(repository, p->tag) ||
        strcspn(host, "@?#\\ %") != strlen(host))
        return error_set(p->err, ERR_INVALID,
                         "'%.100s' names no repository and tag that a registry could have", d);
    snprintf(p->origin, sizeof p->origin, "%s://%s", scheme, host);
    bool local = http_url_is_loopback(p->origin);
    if (scheme[4] == 's' && local && at == d)
        snprintf(p->origin, sizeof p->origin, "http://%s", host);
    snprintf(p->base, sizeof p->base, "%s/v2/%s", p->origin, repository);
    if (http_is_offline() && !local)
        return error_set(p->err, ERR_NETWORK, "HEARTH_OFFLINE is set; unset it to push");
    return http_url_check(p->base, p->rq->allow_http, p->err);
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
    struct exchange *x = ctx;
    size_t len = size * count, n = len;
    static const char *const names[] = {"location:", "docker-upload-location:"};
    for (size_t i = 0; i < 2; i++) {
        size_t k = strlen(names[i]);
        if (len <= k || strncasecmp(line, names[i], k) != 0) continue;
        const char *v = line + k;
        while (n && strchr("\r\n ", line[n - 1])) n--;
        while (v < line + n && *v == ' ') v++;
        if ((size_t)(line + n - v) < sizeof x->location)
            snprintf(x->location, sizeof x->location, "%.*s", (int)(line + n - v), v);
    }
    return len;
}

static size_t on_answer(char *data, size_t size, size_t count, void *ctx)
{
    struct exchange *x = ctx;
    size_t len = size * count;
    if (x->answer.len < 2048) buf_append(&x->answer, data, len < 2048 ? len : 2048);
    return len; /* what is longer is thrown away, within the limit of on_progress */
}

static size_t on_read(char *dst, size_t size, size_t count, void *ctx)
{
    struct exchange *x = ctx;
    uint64_t want = (uint64_t)size * count;
    if (want > x->end - x->at) want = x->end - x->at;
    if (want == 0) return 0;
    if (x->text) {
        memcpy(dst, x->text + x->at, want);
    } else {
        ssize_t n = pread(x->fd, dst, want, (off_t)x->at);
        if (n <= 0) return CURL_READFUNC_ABORT;
        want = (uint64_t)n;
    }
    x->at += want;
    return want;
}

static int on_progress(void *ctx, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
    struct exchange *x = ctx;
    (void)dt, (void)ut, (void)un;
    if (dn > MAX_ANSWER) return 1;
    x->cancelled =
        !store_progress(x->p->ev, STORE_SENDING, x->at, x->layer ? x->layer->bytes : x->end);
    return x->cancelled;
}

static void set_body(CURL *c, struct exchange *x, const char *method)
{
    bool body = x->end > x->at;
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    } else if (body) {
        curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(c, CURLOPT_READDATA, x);
        curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)(x->end - x->at));
    } else {
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, 0L);
    }
}

/* Gives the status of the answer, 0 where there is none (and the error is set). */
static long send_request(struct exchange *x, const char *method, const char *url,
                         const char *header)
{
    struct pushing *p = x->p;
    CURL *c = p->curl;
    char detail[CURL_ERROR_SIZE], line[2048];
    long code = 0;
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    http_curl_reset(c, url, CONNECT_SECONDS, detail);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 16L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, http_stall_seconds());
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, x);
    if (p->rq->token && http_same_origin(p->origin, url)) { /* and nowhere else */
        snprintf(line, sizeof line, "Authorization: Bearer %s", p->rq->token);
        headers = curl_slist_append(headers, line);
    }
    if (header) headers = curl_slist_append(headers, header);
    if (x->end > x->at && x->layer) {
        snprintf(line, sizeof line, "Content-Range: %llu-%llu", (unsigned long long)x->at,
                 (unsigned long long)x->end - 1);
        headers = curl_slist_append(headers, line);
    }
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    set_body(c, x, method);
    x->location[0] = 0;
    buf_clear(&x->answer);
    CURLcode rc = curl_easy_perform(c);
    curl_slist_free_all(headers);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &code);
    if (x->cancelled) {
        error_set(p->err, ERR_CANCELLED, "interrupted");
        return 0;
    }
    if (rc == CURLE_OK || (code >= 400 && rc == CURLE_SEND_ERROR)) return code;
    error_set(p->err, ERR_NETWORK, "%s: %s", p->origin, *detail ? detail : curl_easy_strerror(rc));
    return 0;
}

static enum status refused(const struct exchange *x, const char *what, long code)
{
    if (code == 0) return x->p->err->code;
    const char *advice =
        code == 401 || code == 403 ? "; give a token in HEARTH_REGISTRY_TOKEN" : "";
    return error_set(x->p->err, ERR_NETWORK, "%s answered HTTP %ld when %s%s%s%.200s", x->p->origin,
                     code, what, advice, x->answer.len ? ": " : "",
                     x->answer.len ? x->answer.data : "");
}

static enum reach reach_of_url(const char *url)
{
    char host[256];
    http_url_host(url, host, sizeof host);
    return reach_of_host(host);
}

/* Where the upload goes on: the Location of the last answer, made absolute. Only the registry
 * itself, or https. */
static enum status next_url(struct exchange *x, char url[MAX_URL])
{
    struct pushing *p = x->p;
    CURLU *u = curl_url();
    char *whole = NULL;
    enum status st = OK;
    if (!u || curl_url_set(u, CURLUPART_URL, p->base, 0) ||
        curl_url_set(u, CURLUPART_URL, x->location, 0) || curl_url_get(u, CURLUPART_URL, &whole, 0))
        st = error_set(p->err, ERR_NETWORK, "%s gave no place to send the bytes to", p->origin);
    if (st == OK && !http_same_origin(p->origin, whole)) {
        bool secure = strncmp(whole, "https://", 8) == 0;
        if (!secure || !reach_allowed(reach_of_url(p->origin), reach_of_url(whole)) ||
            (http_is_offline() && !http_url_is_loopback(whole)) ||
            http_url_check(whole, false, NULL) != OK)
            st = error_set(p->err, ERR_NETWORK, "%s wants the bytes sent to %.200s; refused",
                           p->origin, whole);
    }
    if (st == OK && strlen(whole) + 100 >= MAX_URL)
        st = error_set(p->err, ERR_NETWORK, "%s gave too long an address", p->origin);
    if (st == OK) snprintf(url, MAX_URL, "%s", whole);
    curl_free(whole);
    curl_url_cleanup(u);
    return st;
}

/* ---- layers -----------------------------------------------------------------------------------
 */

static enum status send_chunks(struct exchange *x, char url[MAX_URL])
{
    for (uint64_t at = 0; at < x->layer->bytes;) {
        x->at = at;
        x->end = x->layer->bytes - at > CHUNK ? at + CHUNK : x->layer->bytes;
        uint64_t end = x->end;
        long code = send_request(x, "PATCH", url, "Content-Type: application/octet-stream");
        if (code != 202 && code != 201 && code != 204)
            return refused(x, "taking a part of a layer", code);
        if (x->at != end)
            return error_set(x->p->err, ERR_NETWORK, "%s took a part of a layer only",
                             x->p->origin);
        at = end;
        enum status st = x->location[0] ? next_url(x, url) : OK;
        if (st != OK) return st;
    }
    x->at = x->end = 0;
    return OK;
}

static enum status send_layer(struct pushing *p, const struct layer *l)
{
    char url[MAX_URL];
    struct exchange x = {.p = p, .layer = l, .fd = -1, .text = l->text};
    buf_init(&x.answer, 8192);
    snprintf(url, sizeof url, "%s/blobs/%s", p->base, l->digest);
    store_notice(p->ev, "pushing %.12s", l->digest + 7);
    long code = send_request(&x, "HEAD", url, NULL);
    enum status st = OK;
    if (code == 200) goto out; /* there already */
    if (code != 404) {
        st = refused(&x, "asked for a layer", code);
        goto out;
    }
    if (l->path && (x.fd = open(l->path, O_RDONLY | O_CLOEXEC)) < 0) {
        st = error_set(p->err, ERR_IO, "cannot open %s: %s", l->path, strerror(errno));
        goto out;
    }
    snprintf(url, sizeof url, "%s/blobs/uploads/", p->base);
    code = send_request(&x, "POST", url, NULL);
    if (code != 202) st = refused(&x, "asked to take a layer", code);
    if (st == OK) st = next_url(&x, url);
    if (st == OK) st = send_chunks(&x, url);
    if (st == OK) {
        size_t n = strlen(url);
        snprintf(url + n, sizeof url - n, "%cdigest=%s", strchr(url, '?') ? '&' : '?', l->digest);
        code = send_request(&x, "PUT", url, "Content-Type: application/octet-stream");
        if (code != 201 && code != 204) st = refused(&x, "a layer was complete", code);
    }
out:
    if (x.fd >= 0) close(x.fd);
    buf_fini(&x.answer);
    return st;
}

static enum status send_manifest(struct pushing *p, const struct layer *l, const char *type)
{
    char url[MAX_URL], header[128];
    struct exchange x = {.p = p, .fd = -1, .text = l->text, .end = l->bytes};
    buf_init(&x.answer, 8192);
    snprintf(url, sizeof url, "%s/manifests/%s", p->base, p->tag);
    snprintf(header, sizeof header, "Content-Type: %s", type);
    store_notice(p->ev, "pushing manifest");
    long code = send_request(&x, "PUT", url, header);
    enum status st = code == 201 || code == 200 ? OK : refused(&x, "taking the manifest", code);
    buf_fini(&x.answer);
    return st;
}

/* ---- the manifest -----------------------------------------------------------------------------
 */

static void set_digest(struct layer *l)
{
    uint8_t bin[SHA256_BYTES];
    char hex[SHA256_HEX_SIZE];
    sha256_of(l->text, l->bytes, bin);
    sha256_hex(bin, hex);
    snprintf(l->digest, sizeof l->digest, "sha256:%s", hex);
}

enum { MAX_LAYERS = 64 };

struct layers {
    struct layer items[MAX_LAYERS];
    size_t n;
};

/* Steals the text; NULL: no memory. */
static bool add_text(struct layers *l, const char *type, char *text)
{
    if (!text || l->n == MAX_LAYERS) {
        free(text);
        return false;
    }
    struct layer *one = &l->items[l->n++];
    *one = (struct layer){.type = type, .bytes = strlen(text), .text = text};
    set_digest(one);
    return true;
}

static bool add_string(struct layers *l, const char *type, const json_t *text)
{
    return json_string_length(text) == 0 || add_text(l, type, strdup(json_string_value(text)));
}

static enum status make_layers(const struct store_model *m, struct layers *l, struct error *err)
{
    size_t i;
    json_t *v, *own = m->settings;
    struct layer *file = &l->items[l->n++];
    *file = (struct layer){
        .type = "application/vnd.ollama.image.model", .bytes = m->bytes, .path = m->path};
    snprintf(file->digest, sizeof file->digest, "sha256:%s", m->sha256);
    bool ok =
        add_string(l, "application/vnd.ollama.image.template", json_object_get(own, "template"));
    ok = ok && add_string(l, "application/vnd.ollama.image.system", json_object_get(own, "system"));
    v = json_object_get(own, "parameters");
    if (json_object_size(v))
        ok = ok && add_text(l, "application/vnd.ollama.image.params",
                            json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS));
    v = json_object_get(own, "messages");
    if (json_array_size(v))
        ok =
            ok && add_text(l, "application/vnd.ollama.image.messages", json_dumps(v, JSON_COMPACT));
    json_array_foreach(json_object_get(own, "license"), i, v) ok =
        ok && add_string(l, "application/vnd.ollama.image.license", v);
    return ok ? OK
              : error_set(err, ERR_LIMIT,
                          "the model has too many licences, or there is no memory for them");
}

static char *make_config(const struct store_model *m, const struct layers *l)
{
    const struct catalogue_model *i = &m->info;
    const char *family = i->architecture ? i->architecture : "";
    json_t *ids = json_array();
    for (size_t k = 0; k < l->n; k++) json_array_append_new(ids, json_string(l->items[k].digest));
    json_t *c = json_pack("{s:s, s:s, s:[s], s:s, s:s, s:s, s:s, s:{s:s, s:o}}", "model_format",
                          "gguf", "model_family", family, "model_families", family, "model_type",
                          i->parameters ? i->parameters : "", "file_type",
                          i->quantization ? i->quantization : "", "architecture", "amd64", "os",
                          "linux", "rootfs", "type", "layers", "diff_ids", ids);
    char *text = c ? json_dumps(c, JSON_COMPACT) : NULL;
    json_decref(c);
    return text;
}

static json_t *layer_json(const struct layer *l)
{
    return json_pack("{s:s, s:s, s:I}", "mediaType", l->type, "digest", l->digest, "size",
                     (json_int_t)l->bytes);
}

static enum status push_all(struct pushing *p, const struct store_model *m, char digest[72])
{
    static const char type[] = "application/vnd.docker.distribution.manifest.v2+json";
    struct layers *l = calloc(1, sizeof *l);
    if (!l) return error_set(p->err, ERR_NOMEM, "out of memory");
    struct layer manifest = {0};
    enum status st = make_layers(m, l, p->err);
    size_t n_own = l->n;
    if (st == OK &&
        !add_text(l, "application/vnd.docker.container.image.v1+json", make_config(m, l)))
        st = error_set(p->err, ERR_NOMEM, "out of memory");
    store_notice(p->ev, "retrieving manifest");
    for (size_t i = 0; i < l->n && st == OK; i++) st = send_layer(p, &l->items[i]);
    if (st == OK) {
        json_t *list = json_array();
        for (size_t i = 0; i < n_own; i++) json_array_append_new(list, layer_json(&l->items[i]));
        json_t *j = json_pack("{s:i, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType", type,
                              "config", layer_json(&l->items[n_own]), "layers", list);
        manifest.text = j ? json_dumps(j, JSON_COMPACT) : NULL;
        json_decref(j);
        if (!manifest.text) st = error_set(p->err, ERR_NOMEM, "out of memory");
    }
    if (st == OK) {
        manifest.bytes = strlen(manifest.text);
        set_digest(&manifest);
        st = send_manifest(p, &manifest, type);
        memcpy(digest, manifest.digest, sizeof manifest.digest);
    }
    for (size_t i = 0; i < l->n; i++) free(l->items[i].text);
    free(manifest.text);
    free(l);
    return st;
}

enum status store_push(const struct store *s, const struct push_request *rq,
                       const struct store_events *ev, char digest[72], struct error *err)
{
    struct store_model m;
    struct pushing *p = calloc(1, sizeof *p);
    if (!p) return error_set(err, ERR_NOMEM, "out of memory");
    *p = (struct pushing){.ev = ev, .rq = rq, .err = err};
    enum status st = store_find(s, rq->name, &m, err);
    if (st != OK) {
        free(p);
        return st;
    }
    if (m.problem) st = error_set(err, ERR_INTEGRITY, "%s: %s", rq->name, m.problem);
    if (st == OK) st = set_destination(p);
    for (const char *t = rq->token; st == OK && t && *t; t++)
        if (*t <= ' ' || *t >= 0x7f || strlen(rq->token) > 1900)
            st = error_set(err, ERR_INVALID, "the registry's token is no token");
    if (st == OK && curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        st = error_set(err, ERR_NOMEM, "cannot start libcurl");
    else if (st == OK) {
        p->curl = curl_easy_init();
        st =
            p->curl ? push_all(p, &m, digest) : error_set(err, ERR_NOMEM, "cannot start a request");
        curl_easy_cleanup(p->curl);
        curl_global_cleanup();
    }
    store_model_fini(&m);
    free(p);
    return st;
}
