#include "store/http_curl.h"

#include <stdlib.h>

#include "store/http.h"

/* The command-line tool honours these too; companies with their own certificate set them. */
static void set_certificates(CURL *c)
{
    const char *names[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE"};
    for (size_t i = 0; i < 2; i++) {
        const char *v = getenv(names[i]);
        if (v && *v) {
            curl_easy_setopt(c, CURLOPT_CAINFO, v);
            return;
        }
    }
}

void http_curl_reset(CURL *c, const char *url, long connect_seconds, char detail[CURL_ERROR_SIZE])
{
    detail[0] = 0;
    curl_easy_reset(c);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, connect_seconds);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "hearth/" HEARTH_VERSION);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    set_certificates(c);
    if (http_is_offline()) curl_easy_setopt(c, CURLOPT_NOPROXY, "*"); /* a proxy is elsewhere */
}
