/* What all requests beyond this machine have in common, whoever makes them (store/http.h, store/push.h,
 * remote/rest.h). */
#ifndef HEARTH_STORE_HTTP_CURL_H
#define HEARTH_STORE_HTTP_CURL_H

#include <curl/curl.h>

/* Makes `c` ready for one request, forgetting all but its connections: http and https only, redirects left
 * to the caller, the certificates that $CURL_CA_BUNDLE or $SSL_CERT_FILE names, no proxy where
 * http_is_offline. `detail` gets libcurl's words for a failure. */
void http_curl_reset(CURL *c, const char *url, long connect_seconds, char detail[CURL_ERROR_SIZE]);

#endif
