/* Downloading over HTTPS into a partial file, for every source that is a URL in the end. */
#ifndef HEARTH_STORE_SOURCE_HTTP_H
#define HEARTH_STORE_SOURCE_HTTP_H

#include "store/source.h"

/* Resumes where the partial ends, tries again after cuts and stalls. `token` may be NULL;
 * `allow_http` permits plain http beyond loopback. */
enum status http_download(const char *url, const char *token, bool allow_http, struct fetch *f,
                          struct error *err);

/* Asks for each of m's ranges alone. ERR_UNSUPPORTED from a server that would send the whole. */
enum status http_mend(const char *url, const char *token, bool allow_http, struct mend *m,
                      struct error *err);

/* $HF_ENDPOINT, as the hub's own tools have it, or the public hub; without a slash at its end. */
enum status hub_endpoint(char *dst, size_t cap, struct error *err);

/* Takes the URL of a file on the hub apart into the fields of a hub source (a new reference), be it
 * .../resolve/REV/FILE or the page .../blob/REV/FILE. NULL where it is no such URL. */
json_t *hub_spec_from_url(const char *url);

#endif
