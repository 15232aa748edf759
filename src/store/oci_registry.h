/* The registry protocol of OCI and Ollama (OCI distribution specification 1.1): references, tokens and
 * manifests, for pulls and pushes alike. Inside of module store.
 *
 * Credentials: $HEARTH_REGISTRY_AUTH is "HOST[:PORT]=USER:PASSWORD" and goes to that host alone. A
 * registry may send us for a token only to itself (and Docker's to the one place it is known to use);
 * another realm is refused. */
#ifndef HEARTH_STORE_OCI_REGISTRY_H
#define HEARTH_STORE_OCI_REGISTRY_H

#include <jansson.h>

#include "store/store.h"

enum { REGISTRY_TOKEN_SIZE = 4096 };

struct registry_ref {
    char base[320]; /* "https://registry.example:5000", no slash at its end */
    char host[264]; /* with the port, where one was given */
    char repo[256]; /* "library/llama3" */
    char tag[136];  /* a tag, or "sha256:HEX" */
};

/* A repository, and a tag or "sha256:HEX", by the letter. */
bool registry_repo_valid(const char *s);
bool registry_tag_valid(const char *s);

/* Checks host, repository and tag by the letter and works out the base URL: http on loopback, else
 * https. `host` may be NULL or "" with `endpoint` naming the base URL. ERR_INVALID says what is wrong. */
enum status registry_ref_make(const char *host, const char *repo, const char *tag,
                              const char *endpoint, struct registry_ref *out, struct error *err);

/* Asks for a token as the WWW-Authenticate value `challenge` says, for `actions` ("pull" or
 * "pull,push") on the reference's repository alone. ERR_NETWORK where it is refused. */
enum status registry_login(const struct registry_ref *ref, const char *challenge,
                           const char *actions, const struct store_events *ev,
                           char token[REGISTRY_TOKEN_SIZE], struct error *err);

/* The manifest, checked against the digest where the reference is one. `token` gets what the blobs'
 * requests need, "" where nothing. *out is the caller's. */
enum status registry_manifest(const struct registry_ref *ref, const struct store_events *ev,
                              json_t **out, char token[REGISTRY_TOKEN_SIZE], struct error *err);

/* A layer's digest as 64 hex digits and its size. ERR_FORMAT where either is not sound. */
enum status registry_layer(const json_t *layer, char digest[65], uint64_t *bytes, struct error *err);

/* BASE/v2/REPO/blobs/sha256:HEX; malloc'd. */
enum status registry_blob_url(const struct registry_ref *ref, const char *digest, char **out,
                              struct error *err);

#endif
