#include "net/origin.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

bool origin_is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* Takes "name", "name:port" or "[v6]:port" apart; false where it is none of them. */
static bool split_host(struct http_str h, char *name, size_t cap)
{
    const char *end = h.data + h.len, *from = h.data, *to, *port;
    if (h.len && *from == '[') {
        from++;
        to = memchr(from, ']', (size_t)(end - from));
        if (!to) return false;
        port = to + 1;
    } else {
        to = memchr(from, ':', h.len);
        if (!to) to = end;
        port = to;
    }
    size_t n = (size_t)(to - from);
    if (n == 0 || n >= cap) return false;
    if (port < end) {
        if (*port++ != ':' || end - port > 5 || port == end) return false;
        for (; port < end; port++)
            if (*port < '0' || *port > '9') return false;
    }
    memcpy(name, from, n);
    name[n] = 0;
    /* What no name holds: a proxy might read it otherwise than we do. */
    if (*h.data == '[' && !strchr(name, ':')) return false; /* brackets are for IPv6 */
    return strcspn(name, "@/\\?#%<> \t\"',;") == n && strlen(name) == n;
}

static bool is_ours(const char *name)
{
    return strcasecmp(name, "localhost") == 0 || origin_is_loopback(name);
}

bool origin_host_allowed(const struct origin_rules *r, struct http_str host)
{
    char name[256];
    if (!host.data || !split_host(host, name, sizeof name)) return false;
    if (is_ours(name)) return true;
    for (size_t i = 0; i < r->n_hosts; i++)
        if (strcmp(r->hosts[i], "*") == 0 || strcasecmp(r->hosts[i], name) == 0) return true;
    return false;
}

bool origin_listed(const struct origin_rules *r, struct http_str origin)
{
    for (size_t i = 0; i < r->n_origins; i++)
        if (strcmp(r->origins[i], "*") == 0 || http_str_is_nocase(origin, r->origins[i]))
            return true;
    return false;
}

bool origin_allowed(const struct origin_rules *r, struct http_str origin, struct http_str same)
{
    if (!origin.data) return true;
    if (origin_listed(r, origin)) return true;
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(schemes[i]);
        if (origin.len > n && strncasecmp(origin.data, schemes[i], n) == 0 && same.data &&
            origin.len - n == same.len && strncasecmp(origin.data + n, same.data, same.len) == 0)
            return true;
    }
    return false;
}
