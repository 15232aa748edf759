/* Search in the indexes of the projects that the server was started with. */
#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_int.h"
#include "api/read.h"
#include "api/search_projects.h"
#include "index/answer_json.h"
#include "index/context_keep.h"
#include "index/index.h"
#include "infer/embed.h"
#include "remote/stores.h"

enum { MAX_QUERY = 16384, MAX_FIELD = 8192 };
static const double store_seconds = 3; /* then the answer is by words */

struct search_project {
    const char *root, *name; /* borrowed; name: the folder's last part */
    pthread_mutex_t lock;    /* of ix: an open index belongs to one thread at a time */
    pthread_mutex_t keep_lock; /* of keep, so that no completion waits for a search */
    struct context_keep *keep; /* owned */
    struct index *ix;        /* owned; NULL until it is asked for and there is one */
    struct vector_store *store; /* owned; NULL: the index holds its vectors */
};

struct search_projects {
    const char *cache; /* borrowed */
    struct search_project *list;
    size_t n;
};

struct search_projects *search_projects_create(const struct api_options *opt, struct error *err)
{
    if (!opt->n_projects) return NULL;
    struct search_projects *p = calloc(1, sizeof *p);
    if (p) p->list = calloc(opt->n_projects, sizeof *p->list);
    if (!p || !p->list) {
        free(p);
        error_set(err, ERR_NOMEM, "no memory for the projects");
        return NULL;
    }
    p->cache = opt->index_cache;
    for (p->n = 0; p->n < opt->n_projects; p->n++) {
        const char *root = opt->projects[p->n], *slash = strrchr(root, '/');
        p->list[p->n] = (struct search_project){.root = root, .name = slash && slash[1] ? slash + 1 : root};
        pthread_mutex_init(&p->list[p->n].lock, NULL);
        pthread_mutex_init(&p->list[p->n].keep_lock, NULL);
        struct store_options o = {.key = opt->store_key, .seconds = store_seconds, .tries = 1};
        if ((opt->vector_store && stores_open(opt->vector_store, &o, &p->list[p->n].store, err)) ||
            context_keep_create(root, opt->index_cache, &p->list[p->n].keep, err)) {
            p->n++;
            search_projects_destroy(p);
            return NULL;
        }
    }
    return p;
}

void search_projects_destroy(struct search_projects *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->n; i++) {
        index_close(p->list[i].ix);
        if (p->list[i].store) p->list[i].store->close(p->list[i].store);
        context_keep_destroy(p->list[i].keep);
        pthread_mutex_destroy(&p->list[i].keep_lock);
        pthread_mutex_destroy(&p->list[i].lock);
    }
    free(p->list);
    free(p);
}

/* ---- context of completions ---- */

enum { NEAR_BYTES = 3000 }; /* before the cursor, that are in a prompt whatever else is */

/* The pieces belong to the keeper, which the next request may use: a copy. */
static void copy_context(const struct context_kept *kept, const char *name, struct project_context *out)
{
    const struct index_context *c = kept->found;
    size_t bytes = strlen(kept->path) + 1;
    for (size_t i = 0; i < c->n; i++) bytes += strlen(c->list[i].path) + c->list[i].len + 2;
    char *p = out->memory = malloc(bytes);
    out->files = calloc(c->n + 1, sizeof *out->files);
    if (!p || !out->files) {
        project_context_fini(out);
        return;
    }
    out->name = name;
    out->path = strcpy(p, kept->path);
    p += strlen(p) + 1;
    for (size_t i = 0; i < c->n; i++) {
        struct fim_file *f = &out->files[out->n++];
        f->path = strcpy(p, c->list[i].path);
        p += strlen(p) + 1;
        f->len = c->list[i].len;
        f->text = memcpy(p, c->list[i].text, f->len + 1);
        p += f->len + 1;
    }
}

void search_projects_context(struct search_projects *p, const char *file, const char *text, size_t len, size_t offset,
                             size_t max_bytes, struct project_context *out)
{
    *out = (struct project_context){0};
    if (!p || !file || (*file != '/' && p->n != 1)) return;
    for (size_t i = 0; i < p->n && !out->path; i++) {
        struct search_project *sp = &p->list[i];
        struct context_budget budget = {.near_bytes = NEAR_BYTES, .max_bytes = max_bytes};
        struct context_kept kept;
        pthread_mutex_lock(&sp->keep_lock);
        context_keep_take(sp->keep, file, text, len, offset, &budget, &kept);
        if (kept.path) copy_context(&kept, sp->name, out);
        pthread_mutex_unlock(&sp->keep_lock);
    }
}

void project_context_fini(struct project_context *c)
{
    free(c->files);
    free(c->memory);
    *c = (struct project_context){0};
}

/* By the folder as it was given at the start or by its last part; the only one where none is named. */
static struct search_project *find_project(const struct search_projects *p, const char *name)
{
    if (!name) return p->n == 1 ? &p->list[0] : NULL;
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->list[i].root, name) == 0) return &p->list[i];
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->list[i].name, name) == 0) return &p->list[i];
    return NULL;
}

/* The text's vector by the model of the index, malloc'd. NULL: by words alone, and `note` says why where a reason is
 * worth telling. */
static float *vector_of(struct call *c, struct index *ix, const char *text, size_t *dim, char note[256])
{
    struct index_info info;
    struct error err = {0};
    struct loaded_model *m;
    struct embeddings v = {0};
    float *out = NULL;
    if (index_info_brief(ix, &info, &err) != OK || info.vectors == 0 || !*text) return NULL;
    if (served_acquire_local(c->api->served, info.model, &m, &err) != OK) {
        snprintf(note, 256, "by words alone: the index's embedding model cannot be loaded");
        return NULL;
    }
    struct text_str t = {text, strlen(text)};
    struct embed_options opt = {.truncate = true};
    if (m->scheduler) /* its engine is the scheduler's: a search does not wait for a turn */
        snprintf(note, 256, "by words alone: the index's embedding model also writes text");
    else if (engine_embed(m->engine, &t, 1, &opt, &v, &err) != OK || v.dim != info.dim)
        snprintf(note, 256, "by words alone: the embedding model fails, or is another one than the index's");
    else if ((out = malloc(v.dim * sizeof *out)) != NULL)
        memcpy(out, v.data, v.dim * sizeof *out);
    *dim = v.dim;
    embeddings_fini(&v);
    served_release(m, NAN);
    return out;
}

static void read_query(struct reader *rd, struct index_query *q, const char **project, bool *words)
{
    int64_t limit = 10;
    *q = (struct index_query){.text = ""};
    read_string(rd, "query", &q->text, NULL);
    read_string(rd, "project", project, NULL);
    read_string(rd, "language", &q->language, NULL);
    read_string(rd, "under", &q->under, NULL);
    read_string(rd, "from", &q->from, NULL);
    read_int(rd, "limit", 1, 200, &limit);
    read_bool(rd, "literal", &q->literal);
    read_bool(rd, "words", words);
    q->limit = (size_t)limit;
    const json_t *kinds = read_array(rd, "kinds", 64);
    for (size_t i = 0; !rd->err.code && i < json_array_size(kinds); i++) {
        const char *k = json_string_value(json_array_get(kinds, i));
        if (!k) read_fail(rd, "'kinds' is a list of strings");
        else index_json_kind(k, &q->kinds, &rd->err);
    }
    if (!rd->err.code && !*q->text) read_fail(rd, "'query' is missing");
    const char *const fields[] = {q->text, *project, q->language, q->under, q->from};
    for (size_t i = 0; !rd->err.code && i < sizeof fields / sizeof *fields; i++)
        if (fields[i] && strlen(fields[i]) > MAX_FIELD) read_fail(rd, "a string has more than %d bytes", MAX_FIELD);
}

static void search(struct call *c, const json_t *body)
{
    struct reader rd = {.obj = body};
    struct index_query q;
    struct index_hits hits = {0};
    const char *name = NULL;
    char note[256] = "";
    bool words = false;
    if (!c->api->projects) {
        call_failf(c, 404, "no_project", "this server has no project to search; start it with --project DIR");
        return;
    }
    read_query(&rd, &q, &name, &words);
    if (rd.err.code) {
        call_error(c, &rd.err);
        return;
    }
    struct search_project *p = find_project(c->api->projects, name);
    if (!p) {
        call_failf(c, name ? 404 : 400, "unknown_project", name ? "no such project: the server was started without it"
                                                                : "there are several projects: name one as 'project'");
        return;
    }
    pthread_mutex_lock(&p->lock);
    enum status st = p->ix ? OK : index_open(p->root, c->api->projects->cache, &p->ix, &rd.err);
    float *v = st == OK && !words && !q.literal ? vector_of(c, p->ix, q.text, &q.dim, note) : NULL;
    q.vector = v;
    q.store = v ? p->store : NULL;
    if (st == OK) st = index_search(p->ix, &q, &hits, &rd.err);
    if (st == ERR_INTEGRITY) { /* the next update makes a new one */
        index_close(p->ix);
        p->ix = NULL;
    }
    pthread_mutex_unlock(&p->lock);
    json_t *answer = st == OK ? index_json_hits(&hits) : NULL;
    if (answer) json_object_set_new(answer, "project", index_json_text(p->name, strlen(p->name)));
    if (answer && *note) json_object_set_new(answer, "note", json_string(note));
    if (st == OK) call_json(c, 200, answer);
    else call_error(c, &rd.err);
    index_hits_fini(&hits);
    free(v);
}

static void post_search(struct call *c)
{
    search(c, c->body);
}

/* ---- GET: the same members in the address ---- */

static int hex_digit(char ch)
{
    return isdigit((unsigned char)ch) ? ch - '0' : isxdigit((unsigned char)ch) ? tolower((unsigned char)ch) - 'a' + 10 : -1;
}

/* Decodes a part of a query (application/x-www-form-urlencoded); its length. */
static size_t decode(const char *s, size_t n, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        int high = s[i] == '%' && i + 2 < n ? hex_digit(s[i + 1]) : -1, low = high >= 0 ? hex_digit(s[i + 2]) : -1;
        out[len++] = low >= 0 ? (char)(16 * high + low) : s[i] == '+' ? ' ' : s[i];
        if (low >= 0) i += 2;
    }
    return len;
}

static json_t *value_of(const char *key, const char *text, size_t len)
{
    char *end, number[24];
    if (strcmp(key, "literal") == 0 || strcmp(key, "words") == 0) {
        if (len == 4 && memcmp(text, "true", 4) == 0) return json_true();
        if (len == 5 && memcmp(text, "false", 5) == 0) return json_false();
    }
    if (strcmp(key, "limit") == 0 && len && len < sizeof number && isdigit((unsigned char)*text)) {
        memcpy(number, text, len);
        number[len] = 0;
        long long x = strtoll(number, &end, 10);
        if (!*end) return json_integer(x);
    }
    return json_stringn(text, len); /* NULL: no UTF-8 */
}

static void get_search(struct call *c)
{
    struct http_str query = http_query(c->r);
    char *key = query.len <= MAX_QUERY ? malloc(2 * query.len + 2) : NULL;
    json_t *body = json_object();
    bool good = key && body;
    for (size_t i = 0; good && i < query.len;) {
        const char *s = query.data + i, *amp = memchr(s, '&', query.len - i);
        size_t n = amp ? (size_t)(amp - s) : query.len - i;
        const char *eq = memchr(s, '=', n);
        size_t n_key = eq ? (size_t)(eq - s) : n;
        char *value = key + n + 1;
        size_t len = decode(s, n_key, key);
        key[len] = 0;
        len = eq ? decode(eq + 1, n - n_key - 1, value) : 0;
        json_t *list = json_object_get(body, "kinds"), *v = value_of(key, value, len);
        if (strcmp(key, "kinds") == 0 && v) {
            if (!list && (list = json_array()) != NULL) json_object_set_new(body, "kinds", list);
            good = json_array_append_new(list, v) == 0;
        } else {
            good = v && json_object_set_new(body, key, v) == 0;
        }
        i += n + 1;
    }
    if (good) search(c, body);
    else call_failf(c, 400, "invalid_query", "the address is longer than %d bytes or no UTF-8", MAX_QUERY);
    json_decref(body);
    free(key);
}

const struct route routes_search[] = {
    {"GET", "/v1/hearth/search", &dialect_openai, 0, get_search},
    {"POST", "/v1/hearth/search", &dialect_openai, ROUTE_JSON, post_search},
    {0},
};
