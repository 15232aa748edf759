/* Sending an installed model to a registry that speaks the OCI distribution protocol, as Ollama's
 * does.
 *
 * A model is a manifest of layers: the file (application/vnd.ollama.image.model), and where the
 * name has them its template, system message, parameters (params), messages and licences; `hearth
 * pull` and Ollama read the same. Protocol: https://github.com/opencontainers/distribution-spec
 * (1.1), "Pushing a blob in chunks". Media types: Ollama's server/images.go. */
#ifndef HEARTH_STORE_PUSH_H
#define HEARTH_STORE_PUSH_H

#include <stdbool.h>

#include "base/status.h"
#include "store/store.h"

struct push_request {
    const char *name;        /* full name of an installed model */
    const char *destination; /* [http[s]://]HOST[:PORT]/REPOSITORY[:TAG]; the tag of `name` where it
                                has none */
    bool allow_http;         /* plain http beyond loopback */
    const char *token;       /* bearer token for the registry's own origin; or NULL */
};

/* Layers that are there already are not sent again. Progress is STORE_SENDING of each layer; a
 * notice names each. ERR_INVALID: the destination; ERR_NETWORK tells what the registry answered.
 * digest: of the manifest, "sha256:HEX". */
enum status store_push(const struct store *s, const struct push_request *rq,
                       const struct store_events *ev, char digest[72], struct error *err);

#endif
