/* A repository of the Hugging Face hub of which one file is wanted, by its quantization: the
 * repository's listing (ENDPOINT/api/models/REPO/tree/REV?recursive=true) says which, and the hub source
 * fetches it. */
#include "store/source_hf.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "store/http_text.h"
#include "store/source.h"
#include "store/source_http.h"

static const char *text(const json_t *spec, const char *field, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(spec, field));
    return s ? s : otherwise;
}

/* The hub's source for one file. */
static json_t *hub_spec(const json_t *spec, const char *file)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "type", "hub", "repo", text(spec, "repo", ""), "revision",
                     text(spec, "revision", "main"), "file", file);
}

static enum status hf_check(const json_t *spec, const char *digest, struct error *err)
{
    json_t *probe = hub_spec(spec, "x");
    const char *q = text(spec, "quant", "");
    enum status st = probe ? source_hub.check(probe, digest, err)
                           : error_set(err, ERR_INVALID, "the repository's name is not UTF-8");
    json_decref(probe);
    if (st == OK && (strlen(q) > 64 || strpbrk(q, "/\\ \t\r\n")))
        st = error_set(err, ERR_INVALID, "'%.80s' is no quantization", q);
    return st;
}

static void hf_describe(const json_t *spec, char *dst, size_t cap)
{
    source_hub.describe(spec, dst, cap);
}

static bool is_gguf(const char *path)
{
    size_t n = strlen(path);
    const char *slash = strrchr(path, '/');
    return n > 5 && strcasecmp(path + n - 5, ".gguf") == 0 &&
           strncasecmp(slash ? slash + 1 : path, "mmproj", 6) != 0;
}

enum status hf_list(const json_t *spec, const struct store_events *ev, json_t **out,
                    struct error *err)
{
    char endpoint[512], url[1400];
    struct http_answer a;
    json_t *all = NULL;
    *out = NULL;
    enum status st = hub_endpoint(endpoint, sizeof endpoint, err);
    if (st) return st;
    snprintf(url, sizeof url, "%s/api/models/%s/tree/%s?recursive=true", endpoint,
             text(spec, "repo", ""), text(spec, "revision", "main"));
    const char *token = getenv("HF_TOKEN");
    struct http_request rq = {.url = url, .token = token && *token ? token : NULL, .events = ev};
    st = http_json(&rq, NULL, &all, &a, err);
    if (st == OK && !json_is_array(all))
        st = error_set(err, ERR_NETWORK, "%s sent no listing of the repository", a.host);
    if (st == OK && !(*out = json_array())) st = error_set(err, ERR_NOMEM, "out of memory");
    size_t i;
    json_t *e;
    json_array_foreach(all, i, e)
    {
        const char *path = json_string_value(json_object_get(e, "path"));
        if (st || !path || !is_gguf(path)) continue;
        /* Names that could not be asked for are not offered. */
        json_t *hub = hub_spec(spec, path);
        bool sound = hub && source_hub.check(hub, NULL, NULL) == OK;
        json_decref(hub);
        if (sound && json_array_append(*out, e)) st = error_set(err, ERR_NOMEM, "out of memory");
    }
    json_decref(all);
    return st;
}

/* "Q4_K_M" in "dir/model-Q4_K_M.gguf", and not in "model-IQ4_K_M.gguf". */
static bool has_quant(const char *path, const char *quant)
{
    size_t n = strlen(quant);
    for (const char *p = path; n && *p; p++)
        if (strncasecmp(p, quant, n) == 0 && (p == path || strchr("-._/", p[-1])) &&
            strchr("-./", p[n]))
            return true;
    return false;
}

static bool is_split(const char *path)
{
    return strstr(path, "-of-0") != NULL;
}

static const json_t *pick(const json_t *files, const char *quant, size_t *n)
{
    const json_t *found = NULL;
    size_t i;
    json_t *e;
    *n = 0;
    json_array_foreach(files, i, e)
    {
        const char *path = json_string_value(json_object_get(e, "path"));
        if (quant && !has_quant(path, quant)) continue;
        found = e;
        ++*n;
    }
    return found;
}

static enum status choose(const json_t *spec, const json_t *files, const json_t **out,
                          struct error *err)
{
    const char *quant = json_string_value(json_object_get(spec, "quant"));
    size_t n;
    *out = pick(files, quant, &n);
    if (!quant && n > 1) *out = pick(files, "Q4_K_M", &n);
    const char *path = n == 1 ? json_string_value(json_object_get(*out, "path")) : "";
    if (n == 1 && !is_split(path)) return OK;
    if (n == 1 || (n > 1 && is_split(json_string_value(json_object_get(*out, "path")))))
        return error_set(err, ERR_UNSUPPORTED, "that model is in several files, which cannot be pulled");
    char list[300] = "";
    size_t i, at = 0;
    json_t *e;
    json_array_foreach(files, i, e)
    {
        const char *p = json_string_value(json_object_get(e, "path"));
        if (at + strlen(p) + 3 >= sizeof list) break;
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", p);
    }
    if (json_array_size(files) == 0)
        return error_set(err, ERR_NOT_FOUND, "the repository holds no GGUF file");
    return error_set(err, n ? ERR_INVALID : ERR_NOT_FOUND, "%s of its files %s '%s': %s",
                     n ? "several" : "none", n ? "fit" : "fits", quant ? quant : "Q4_K_M", list);
}

/* The hub's source of the chosen file, and what the listing says about it. */
static enum status resolve(const json_t *spec, const struct store_events *ev, json_t **hub,
                           struct source_facts *facts, struct error *err)
{
    json_t *files;
    const json_t *e = NULL;
    *hub = NULL;
    *facts = (struct source_facts){0};
    enum status st = hf_list(spec, ev, &files, err);
    if (st == OK) st = choose(spec, files, &e, err);
    if (st == OK) {
        const json_t *lfs = json_object_get(e, "lfs");
        const char *oid = json_string_value(json_object_get(lfs, "oid"));
        json_int_t size = json_integer_value(json_object_get(lfs, "size"));
        if (oid && store_digest_valid(oid)) memcpy(facts->digest, oid, sizeof facts->digest);
        if (size > 0) facts->bytes = (uint64_t)size;
        *hub = hub_spec(spec, json_string_value(json_object_get(e, "path")));
        if (!*hub) st = error_set(err, ERR_NOMEM, "out of memory");
    }
    json_decref(files);
    return st;
}

static enum status hf_probe(const json_t *spec, const struct store *store,
                            const struct store_events *ev, struct source_facts *out,
                            struct error *err)
{
    json_t *hub;
    (void)store;
    enum status st = resolve(spec, ev, &hub, out, err);
    json_decref(hub);
    return st;
}

static enum status hf_fetch(const json_t *spec, struct fetch *f, struct error *err)
{
    json_t *hub;
    struct source_facts facts;
    enum status st = resolve(spec, f->events, &hub, &facts, err);
    if (st == OK) st = source_hub.fetch(hub, f, err);
    json_decref(hub);
    return st;
}

static enum status hf_mend(const json_t *spec, struct mend *m, struct error *err)
{
    json_t *hub;
    struct source_facts facts;
    enum status st = resolve(spec, m->events, &hub, &facts, err);
    if (st == OK) st = source_hub.mend(hub, m, err);
    json_decref(hub);
    return st;
}

/* hf://OWNER/REPO[@REVISION][:QUANT] */
static enum status hf_url(const char *url, json_t **out, char name[STORE_NAME_SIZE],
                          struct error *err)
{
    if (strncmp(url, "hf://", 5) != 0) return OK;
    char rest[400];
    if (strlen(url + 5) >= sizeof rest)
        return error_set(err, ERR_INVALID, "the repository's name is too long");
    memcpy(rest, url + 5, strlen(url + 5) + 1);
    char *quant = strchr(rest, ':');
    if (quant) *quant++ = 0;
    char *rev = strchr(rest, '@');
    if (rev) *rev++ = 0;
    const char *slash = strchr(rest, '/');
    snprintf(name, STORE_NAME_SIZE, "%.64s:%.64s", slash ? slash + 1 : rest,
             quant && *quant ? quant : "latest");
    *out = json_pack("{s:s, s:s, s:s}", "type", "hf", "repo", rest, "revision", rev ? rev : "main");
    if (*out && quant && *quant && json_object_set_new(*out, "quant", json_string(quant))) {
        json_decref(*out);
        *out = NULL;
    }
    if (!*out) return error_set(err, ERR_INVALID, "the repository's name is not UTF-8");
    enum status st = hf_check(*out, NULL, err);
    if (st == OK) return OK;
    json_decref(*out);
    *out = NULL;
    return st;
}

const struct source_type source_hf = {
    .name = "hf",
    .check = hf_check,
    .describe = hf_describe,
    .probe = hf_probe,
    .fetch = hf_fetch,
    .mend = hf_mend,
    .from_url = hf_url,
};
