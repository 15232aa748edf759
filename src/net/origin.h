/* Who may talk to a server on this machine: the Host and Origin headers of a request.
 *
 * A browser lets any page send requests to this machine, and DNS rebinding makes them look as if
 * they were for the page's own server (CVE-2024-28224). Host then names the page's server, and
 * Origin tells where the page came from: both are held to a list. */
#ifndef HEARTH_NET_ORIGIN_H
#define HEARTH_NET_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "net/http_parse.h"

/* Names beside localhost and this machine's loopback addresses that Host may have, without port,
 * and origins ("https://app.example:8443") that pages may come from; "*" allows all. */
struct origin_rules {
    const char *const *hosts;
    size_t n_hosts;
    const char *const *origins;
    size_t n_origins;
};

/* Host: "name", "name:port", "[v6]:port". Loopback names and addresses pass, and listed ones. */
bool origin_host_allowed(const struct origin_rules *r, struct http_str host);
/* Origin: pages of this machine's own loopback names pass only where `same` (the request's Host)
 * is exactly theirs; others where they are listed. A missing header (data NULL) passes. */
bool origin_allowed(const struct origin_rules *r, struct http_str origin, struct http_str same);
/* Whether pages of this origin were listed: only these are told so by CORS headers. */
bool origin_listed(const struct origin_rules *r, struct http_str origin);
/* 127.0.0.0/8, ::1. A numeric address as text. */
bool origin_is_loopback(const char *address);

#endif
