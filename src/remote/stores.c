#include "remote/stores.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "remote/remote_int.h"
#include "store/http.h"

static const struct store_kind *const kinds[] = {
    &store_kind_qdrant,
    &store_kind_chroma,
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

const char *stores_scheme(size_t n)
{
    return n < N_KINDS ? kinds[n]->scheme : NULL;
}

static bool copy_name(const char *from, size_t n, char to[STORE_MAX_NAME + 1])
{
    if (n == 0 || n > STORE_MAX_NAME) return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)from[i]) && !strchr("._-", from[i])) return false;
    memcpy(to, from, n);
    to[n] = 0;
    return strspn(to, ".") != n; /* "." and ".." would climb */
}

static const struct store_kind *find_kind(const char *address, bool *tls, const char **rest)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        size_t n = strlen(kinds[i]->scheme);
        if (strncmp(address, kinds[i]->scheme, n) != 0) continue;
        *tls = address[n] == 's';
        n += *tls;
        if (strncmp(address + n, "://", 3) != 0) continue;
        *rest = address + n + 3;
        return kinds[i];
    }
    return NULL;
}

/* A name, an IPv4 address, or an IPv6 address in brackets; *n its length. */
static bool is_host(const char *s, size_t *n)
{
    if (*s == '[') {
        *n = strspn(s + 1, "0123456789abcdefABCDEF:.") + 1;
        return *n > 2 && s[(*n)++] == ']';
    }
    *n = 0;
    while (isalnum((unsigned char)s[*n]) || (s[*n] && strchr(".-_", s[*n]))) ++*n;
    return *n > 0 && *n <= 255;
}

static bool read_place(const struct store_kind *k, const char *s, struct store_address *out)
{
    size_t host;
    long port = k->port;
    if (!is_host(s, &host)) return false;
    const char *p = s + host;
    if (*p == ':') {
        char *end;
        if (!isdigit((unsigned char)p[1])) return false;
        port = strtol(p + 1, &end, 10);
        if (end - p > 6 || port < 1 || port > 65535) return false;
        p = end;
    }
    if (*p++ != '/') return false;
    snprintf(out->base, sizeof out->base, "http%s://%.*s:%ld", out->tls ? "s" : "", (int)host, s, port);
    size_t n = strcspn(p, "?");
    if (!copy_name(p, n, out->collection)) return false;
    for (p += n; *p; p += n) {
        n = strcspn(++p, "&");
        if (k->has_tenants && n > 7 && strncmp(p, "tenant=", 7) == 0) {
            if (!copy_name(p + 7, n - 7, out->tenant)) return false;
        } else if (k->has_tenants && n > 9 && strncmp(p, "database=", 9) == 0) {
            if (!copy_name(p + 9, n - 9, out->database)) return false;
        } else {
            return false;
        }
    }
    return true;
}

static enum status read_address(const char *text, const struct store_kind **kind, struct store_address *out,
                                struct error *err)
{
    const char *rest = NULL;
    *out = (struct store_address){0};
    *kind = strlen(text) < sizeof out->name ? find_kind(text, &out->tls, &rest) : NULL;
    if (!*kind || !read_place(*kind, rest, out))
        return error_set(err, ERR_INVALID,
                         "'%.200s' is no store; one is qdrant://HOST:PORT/COLLECTION or chroma://HOST:PORT/COLLECTION"
                         " (qdrants:// and chromas:// with TLS), and its key is HEARTH_STORE_KEY", text);
    memcpy(out->name, text, strlen(text) + 1);
    return OK;
}

enum status stores_open(const char *address, const struct store_options *opt, struct vector_store **out,
                        struct error *err)
{
    struct store_address a;
    const struct store_kind *kind;
    struct rest *rest = NULL;
    const char *key = opt->key && *opt->key ? opt->key : NULL;
    enum status st = read_address(address, &kind, &a, err);
    if (st) return st;
    bool here = http_url_is_loopback(a.base);
    if (http_is_offline() && !here)
        return error_set(err, ERR_NETWORK, "HEARTH_OFFLINE is set, and %s is not on this machine", a.base);
    if (key && !a.tls && !here)
        return error_set(err, ERR_INVALID, "the key would go to %s in the clear; use %ss://", a.base, kind->scheme);
    struct rest_options o = {.base = a.base, .key_header = kind->key_header, .key = key, .cancel = opt->cancel,
                             .seconds = opt->seconds > 0 ? opt->seconds : 30, .tries = opt->tries > 0 ? opt->tries : 4};
    st = rest_open(&o, &rest, err);
    return st ? st : kind->open(&a, rest, out, err);
}
