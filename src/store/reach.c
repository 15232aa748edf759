#include "store/reach.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

static enum reach reach_v4(uint32_t a)
{
    static const struct {
        uint32_t net;
        unsigned bits;
        enum reach reach;
    } nets[] = {
        {0x7f000000, 8, REACH_LOOPBACK}, {0x0a000000, 8, REACH_PRIVATE},
        {0xac100000, 12, REACH_PRIVATE}, {0xc0a80000, 16, REACH_PRIVATE},
        {0x64400000, 10, REACH_PRIVATE}, {0xa9fe0000, 16, REACH_LINK},
        {0x00000000, 8, REACH_SPECIAL},  {0xc0000000, 24, REACH_SPECIAL},
        {0xe0000000, 3, REACH_SPECIAL},
    };
    for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++)
        if ((a ^ nets[i].net) >> (32 - nets[i].bits) == 0) return nets[i].reach;
    return REACH_PUBLIC;
}

static uint32_t word(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static enum reach reach_v6(const uint8_t a[16])
{
    static const uint8_t zero[16], nat64[12] = {0, 0x64, 0xff, 0x9b};
    if (memcmp(a, zero, 10) == 0 && a[10] == 0xff && a[11] == 0xff) return reach_v4(word(a + 12));
    if (memcmp(a, zero, 15) == 0) return a[15] == 1 ? REACH_LOOPBACK : REACH_SPECIAL;
    /* The old way to write an IPv4 address, and gateways to one. */
    if (memcmp(a, zero, 12) == 0 || memcmp(a, nat64, 12) == 0) return reach_v4(word(a + 12));
    if (a[0] == 0x20 && a[1] == 0x02) return reach_v4(word(a + 2));
    if ((a[0] & 0xfe) == 0xfc) return REACH_PRIVATE;
    if (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) return REACH_LINK;
    if (a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0xc0)) return REACH_SPECIAL;
    return REACH_PUBLIC;
}

enum reach reach_of_address(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return reach_v4(ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr));
    if (a->sa_family == AF_INET6)
        return reach_v6(((const struct sockaddr_in6 *)(const void *)a)->sin6_addr.s6_addr);
    return REACH_SPECIAL;
}

enum reach reach_of_host(const char *host)
{
    char plain[64];
    struct in_addr v4;
    struct in6_addr v6;
    size_t len = strlen(host), tail = sizeof ".localhost" - 1;
    if (inet_pton(AF_INET, host, &v4) == 1) return reach_v4(ntohl(v4.s_addr));
    if (strcasecmp(host, "localhost") == 0 || strcasecmp(host, "localhost.") == 0 ||
        (len > tail && strcasecmp(host + len - tail, ".localhost") == 0))
        return REACH_LOOPBACK;
    if (host[0] != '[' || len < 3 || len - 2 >= sizeof plain) return REACH_PUBLIC;
    memcpy(plain, host + 1, len - 2);
    plain[strcspn(plain, "%]")] = 0;
    plain[len - 2] = 0;
    if (inet_pton(AF_INET6, plain, &v6) == 1) return reach_v6(v6.s6_addr);
    return REACH_SPECIAL;
}

bool reach_allowed(enum reach from, enum reach to)
{
    return to == REACH_PUBLIC || from == to;
}

bool reach_by_proxy(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY"};
    const char *none = getenv("NO_PROXY");
    if (none && strcmp(none, "*") == 0) return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *v = getenv(names[i]);
        if (v && *v) return true;
    }
    return false;
}
