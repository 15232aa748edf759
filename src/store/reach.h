/* From where an address can be reached, so that a server far away cannot make this machine ask
 * things that only it, or its own network, can ask. Inside of module store. */
#ifndef HEARTH_STORE_REACH_H
#define HEARTH_STORE_REACH_H

#include <stdbool.h>

struct sockaddr;

enum reach {
    REACH_PUBLIC,
    REACH_LOOPBACK, /* 127.0.0.0/8, ::1 */
    REACH_PRIVATE,  /* RFC 1918, 100.64.0.0/10 (RFC 6598), fc00::/7 */
    REACH_LINK,     /* 169.254.0.0/16, fe80::/10: where clouds keep their metadata */
    REACH_SPECIAL,  /* 0.0.0.0/8, multicast, reserved, and what is no internet address */
};

enum reach reach_of_address(const struct sockaddr *a);

/* Of a URL's host where it is an address or names loopback; REACH_PUBLIC for any other name, whose
 * address shows only when it is connected to. */
enum reach reach_of_host(const char *host);

/* Whether a server of the first kind may send us to one of the second. */
bool reach_allowed(enum reach from, enum reach to);

/* Whether the environment names a proxy: the address connected to is then the proxy's. */
bool reach_by_proxy(void);

#endif
