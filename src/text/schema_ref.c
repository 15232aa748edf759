/* Where schemas stand in the document, and what $ref, $anchor and $id mean. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "text/schema_int.h"

enum { MAX_URI = 1024, MAX_POINTER = 400 };

/* One object or array of the document, in the order of a walk. */
struct schema_node {
    const json_t *json;
    uint32_t parent; /* FA_NONE: the root */
    const char *key; /* in the parent; NULL: index */
    size_t index;
    uint32_t resource; /* node of the nearest $id, or the root */
    char *uri;         /* owned; of a resource */
};

/* ---- index --------------------------------------------------------------------------------------
 */

static void remove_dots(char *path)
{
    char *out = path, *p = path;
    while (*p) {
        if (strncmp(p, "/./", 3) == 0 || strcmp(p, "/.") == 0) {
            p += 2;
            if (!*p) *out++ = '/';
        } else if (strncmp(p, "/../", 4) == 0 || strcmp(p, "/..") == 0) {
            p += 3;
            while (out > path && *--out != '/') {}
            if (!*p) *out++ = '/';
        } else {
            do *out++ = *p++;
            while (*p && *p != '/');
        }
    }
    *out = 0;
}

/* RFC 3986, section 5.2, without queries. `out` has MAX_URI bytes. */
static void resolve_uri(const char *base, const char *ref, char *out)
{
    size_t scheme = strcspn(ref, ":/?#"), root = strcspn(base, ":");
    if (ref[scheme] == ':' && scheme > 0) {
        snprintf(out, MAX_URI, "%s", ref);
        return;
    }
    size_t end = strcspn(base, "#");
    if (ref[0] == '#' || ref[0] == 0) {
        snprintf(out, MAX_URI, "%.*s%s", (int)end, base, ref);
        return;
    }
    size_t path = base[root] == ':' ? root + 1 : 0;
    if (base[path] == '/' && base[path + 1] == '/') path += 2 + strcspn(base + path + 2, "/#");
    size_t dir = end;
    while (dir > path && base[dir - 1] != '/') dir--;
    if (ref[0] == '/') dir = path;
    snprintf(out, MAX_URI, "%.*s%s%s", (int)dir, base, dir == path && path && ref[0] != '/' ? "/" : "",
             ref);
    size_t start = path < strlen(out) ? path : strlen(out);
    char *hash = strchr(out + start, '#'), fragment[MAX_URI] = "";
    if (hash) {
        snprintf(fragment, sizeof fragment, "%s", hash);
        *hash = 0;
    }
    remove_dots(out + start);
    size_t len = strlen(out);
    snprintf(out + len, MAX_URI - len, "%s", fragment);
}

static uint32_t add_node(struct schema *x, const json_t *json, uint32_t parent, const char *key,
                         size_t index)
{
    if (!fa_grow(&x->b->budget, &x->nodes, x->n_nodes, &x->cap_nodes, sizeof *x->nodes))
        return FA_NONE;
    uint32_t at = (uint32_t)x->n_nodes++;
    struct schema_node *n = &x->nodes[at];
    *n = (struct schema_node){json, parent, key, index,
                              parent == FA_NONE ? at : x->nodes[parent].resource, NULL};
    const char *id = json_string_value(json_object_get(json, "$id"));
    if (!id && parent != FA_NONE) return at;
    char uri[MAX_URI];
    resolve_uri(parent == FA_NONE ? "" : x->nodes[n->resource].uri, id ? id : "", uri);
    uri[strcspn(uri, "#")] = 0;
    n->resource = at;
    n->uri = fa_realloc(&x->b->budget, NULL, strlen(uri) + 1, 1);
    if (n->uri) strcpy(n->uri, uri);
    return n->uri ? at : FA_NONE;
}

/* Level by level: the list is its own queue. */
void schema_index(struct schema *x)
{
    add_node(x, x->root, FA_NONE, NULL, 0);
    for (uint32_t i = 0; i < x->n_nodes && fa_spend(&x->b->budget, 1); i++) {
        const json_t *at = x->nodes[i].json, *value;
        const char *key;
        size_t index;
        if (json_is_array(at)) {
            json_array_foreach((json_t *)at, index, value)
                if (json_is_object(value) || json_is_array(value) || json_is_boolean(value))
                    add_node(x, value, i, NULL, index);
            continue;
        }
        json_object_foreach((json_t *)at, key, value) {
            if (strcmp(key, "enum") == 0 || strcmp(key, "const") == 0) {
                /* data, unless a property has that name */
                const char *here = x->nodes[i].key;
                if (!here || strcmp(here, "properties") != 0) continue;
            }
            if (json_is_object(value) || json_is_array(value)) add_node(x, value, i, key, 0);
        }
    }
}

void schema_index_fini(struct schema *x)
{
    for (size_t i = 0; i < x->n_nodes; i++) free(x->nodes[i].uri);
    free(x->nodes);
}

static uint32_t node_of(const struct schema *x, const json_t *json)
{
    for (uint32_t i = 0; i < x->n_nodes; i++)
        if (x->nodes[i].json == json) return i;
    return FA_NONE;
}

/* ---- errors -------------------------------------------------------------------------------------
 */

static void put_pointer(struct buf *out, const char *key)
{
    for (; *key; key++) {
        if (*key == '~')
            buf_append_str(out, "~0");
        else if (*key == '/')
            buf_append_str(out, "~1");
        else
            buf_append(out, key, 1);
    }
}

void schema_fail(struct schema *x, enum status st, const json_t *schema, const char *keyword,
                 const char *fmt, ...)
{
    char what[300];
    va_list args;
    if (!schema_good(x)) return;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    struct buf at;
    buf_init(&at, MAX_POINTER);
    uint32_t path[64];
    size_t n = 0;
    for (uint32_t i = node_of(x, schema); i != FA_NONE && x->nodes[i].parent != FA_NONE && n < 64;
         i = x->nodes[i].parent)
        path[n++] = i;
    while (n > 0) {
        const struct schema_node *node = &x->nodes[path[--n]];
        buf_append_str(&at, "/");
        if (node->key)
            put_pointer(&at, node->key);
        else
            buf_printf(&at, "%zu", node->index);
    }
    if (keyword) buf_printf(&at, "/%s", keyword);
    x->st = error_set(x->b->err, st, "%s%s#%s: %s", keyword ? keyword : "", keyword ? " at " : "at ",
                      at.data ? at.data : "", what);
    buf_fini(&at);
}

const json_t *schema_keep(struct schema *x, json_t *made)
{
    if (made && json_array_append_new(x->made, made) == 0) return made;
    if (x->b->budget.st == OK) x->b->budget.st = ERR_NOMEM;
    return NULL;
}

/* ---- resolving ----------------------------------------------------------------------------------
 */

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* One step of a JSON pointer, its escapes and those of URIs taken away. Returns what follows. */
static const char *next_key(const char *p, char *out, size_t cap)
{
    size_t n = 0;
    while (*p && *p != '/') {
        char c = *p++;
        if (c == '%' && hex_value(p[0]) >= 0 && hex_value(p[1]) >= 0) {
            c = (char)(hex_value(p[0]) << 4 | hex_value(p[1]));
            p += 2;
        }
        if (c == '~' && (*p == '0' || *p == '1')) c = *p++ == '0' ? '~' : '/';
        if (n + 1 < cap) out[n++] = c;
    }
    out[n] = 0;
    return p;
}

static const json_t *follow_pointer(const json_t *at, const char *p)
{
    char key[MAX_URI];
    while (at && *p == '/') {
        p = next_key(p + 1, key, sizeof key);
        at = json_is_array(at) ? json_array_get(at, strtoul(key, NULL, 10)) : json_object_get(at, key);
    }
    return at;
}

static const json_t *find_anchor(const struct schema *x, uint32_t resource, const char *name)
{
    static const char *const keys[] = {"$anchor", "$dynamicAnchor"};
    for (uint32_t i = 0; i < x->n_nodes; i++) {
        if (x->nodes[i].resource != resource) continue;
        for (int k = 0; k < 2; k++) {
            const char *a = json_string_value(json_object_get(x->nodes[i].json, keys[k]));
            if (a && strcmp(a, name) == 0) return x->nodes[i].json;
        }
    }
    return NULL;
}

const json_t *schema_resolve(struct schema *x, const json_t *from, const char *ref)
{
    char uri[MAX_URI];
    if (!fa_spend(&x->b->budget, 1 + x->n_nodes / 64)) return NULL;
    uint32_t at = node_of(x, from), resource = at == FA_NONE ? 0 : x->nodes[at].resource;
    if (strlen(ref) > MAX_URI / 2) {
        schema_fail(x, ERR_LIMIT, from, "$ref", "longer than %d bytes", MAX_URI / 2);
        return NULL;
    }
    resolve_uri(x->nodes[resource].uri, ref, uri);
    char *hash = strchr(uri, '#');
    const char *fragment = hash ? hash + 1 : "";
    if (hash) *hash = 0;
    uint32_t target = FA_NONE;
    for (uint32_t i = 0; target == FA_NONE && i < x->n_nodes; i++)
        if (x->nodes[i].uri && strcmp(x->nodes[i].uri, uri) == 0) target = i;
    if (target == FA_NONE) {
        schema_fail(x, ERR_UNSUPPORTED, from, "$ref", "'%.200s' is in another document", ref);
        return NULL;
    }
    char name[MAX_URI];
    if (fragment[0] && fragment[0] != '/') next_key(fragment, name, sizeof name);
    const json_t *found = fragment[0] == 0     ? x->nodes[target].json
                          : fragment[0] == '/' ? follow_pointer(x->nodes[target].json, fragment)
                                               : find_anchor(x, target, name);
    if (!found || !(json_is_object(found) || json_is_boolean(found))) {
        schema_fail(x, ERR_FORMAT, from, "$ref", "'%.200s' names no schema", ref);
        return NULL;
    }
    return found;
}
