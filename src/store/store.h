/* The model store: a folder of verified model files, named by their SHA-256, and of manifests that
 * give them names.
 *
 *   blobs/sha256-HEX            model files, read-only, never changed once visible
 *   manifests/FAMILY/TAG.json   what a name stands for; written last, so that it is never half
 * there pins/FAMILY/TAG.json        digests first seen at the hub, for entries whose catalogue has
 * none partial/HEX                 downloads under way or interrupted, and HEX.json beside them
 *   uploads/HEX                 files that clients of the server sent, for a model to be made of
 *   chains/HEX                  states of a blob's hash, by which parts of it are checked alone
 *   imports/FAMILY@TAG.gguf     models being made from other files, see convert/import.h
 *   locks/                      flock files: one per name, one per digest, one for short commits
 *   trust.json, signatures/     who may sign models, and who did, see trusted.h
 *   catalogue.json              the user's own catalogue, see catalogue.h
 *
 * No function but store_pull, store_push and those that repair or fetch by their names opens a network connection. Functions may be called from any thread,
 * one at a time per store; several processes may share a store. */
#ifndef HEARTH_STORE_STORE_H
#define HEARTH_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "store/catalogue.h"
#include "store/name.h"

struct store;
struct json_t;

/* What happens during long operations. All members may be NULL. */
enum store_phase {
    STORE_DOWNLOADING, /* bytes of the model so far, of its size where known, else of 0 */
    STORE_CHECKING,    /* bytes hashed of a file that is already here */
    STORE_COPYING,     /* bytes copied from a local file */
    STORE_SENDING,     /* bytes sent to a registry */
};
struct store_events {
    /* Called a few times a second at least; false asks to stop, giving ERR_CANCELLED. */
    bool (*progress)(void *ctx, enum store_phase phase, uint64_t done, uint64_t total);
    /* One line for the user: a source that failed, a lock waited for, a digest pinned. */
    void (*notice)(void *ctx, const char *line);
    void *ctx;
};

/* Opens the store at `root`, or at $HEARTH_HOME, else $XDG_DATA_HOME/hearth, else
 * ~/.local/share/hearth. Creates nothing; a store that is not there yet is empty. */
enum status store_open(const char *root, struct store **out, struct error *err);
void store_close(struct store *s); /* NULL is fine */

const char *store_root(const struct store *s);
const struct catalogue *store_catalogue(const struct store *s);

/* An installed model. */
struct store_model {
    char name[STORE_NAME_SIZE];
    char sha256[65];
    uint64_t bytes;
    char *path;        /* of the model file */
    char *source;      /* where it came from, in words */
    char *pulled_at;   /* RFC 3339, UTC */
    char *digest_from; /* "catalogue", "user", "hub" or "file": who vouched for the digest */
    char *problem;     /* NULL, or what is wrong with the model (file missing, ...) */
    struct catalogue_model info; /* the entry as it was when pulled */
    struct json_t *recorded;     /* what wrote the manifest: programs and versions; NULL = not known */
    struct json_t *origin;       /* the source that brought it, as in a catalogue; NULL = not known */
    struct json_t *settings;     /* what goes with the name, see settings.h; NULL = nothing */
};
void store_model_fini(struct store_model *m);

struct store_models {
    struct store_model *items; /* sorted by name */
    size_t len;
};
enum status store_list(const struct store *s, struct store_models *out, struct error *err);
void store_models_fini(struct store_models *list);

/* The full name of what the user calls `typed`: a name, an alias, a family alone (its default tag,
 * or the only one installed); any case. ERR_NOT_FOUND suggests near names. */
enum status store_resolve(const struct store *s, const char *typed, char name[STORE_NAME_SIZE],
                          struct error *err);

/* An installed model by its full name. ERR_NOT_FOUND where it is not installed; a model with a
 * problem is found. */
enum status store_find(const struct store *s, const char *name, struct store_model *out,
                       struct error *err);

/* Hashes the file of an installed model again. ERR_INTEGRITY where it changed. */
enum status store_verify(const struct store *s, const char *name, const struct store_events *ev,
                         struct error *err);

/* Forgets a name, and deletes its file unless another name shares it. `freed` (may be NULL) gets
 * the bytes deleted. With `forget_pin` the digest pinned at its first pull is forgotten too. */
enum status store_remove(const struct store *s, const char *name, bool forget_pin, uint64_t *freed,
                         const struct store_events *ev, struct error *err);

/* Unfinished downloads and imports: how many, and their bytes. */
enum status store_unfinished(const struct store *s, size_t *count, uint64_t *bytes,
                             struct error *err);
/* Deletes those that no other process is working on. */
enum status store_remove_unfinished(const struct store *s, size_t *count, uint64_t *freed,
                                    struct error *err);

struct pull_request {
    const char *name;   /* full name (store_resolve), or the new name of a url or file */
    const char *url;    /* instead of the catalogue's sources; or NULL */
    const char *file;   /* a local file instead, or the folder of another store; or NULL */
    const char *sha256; /* the digest the user expects; or NULL */
    const char *signature; /* path or URL of the model's signature, which has to be good; or NULL */
    bool verify;        /* hash an installed model again, and fetch it anew where it changed */
};
enum pull_outcome { PULL_FETCHED, PULL_PRESENT /* was installed already */ };

/* Makes a model available under its name: fetches it from the first source that works, resuming
 * what an earlier pull left, verifies its SHA-256 and only then makes it visible. A second pull of
 * the same model waits for the first. On failure the error says which sources were tried and why
 * each failed; what was downloaded stays for the next attempt unless its digest was wrong. */
enum status store_pull(const struct store *s, const struct pull_request *rq,
                       const struct store_events *ev, enum pull_outcome *outcome,
                       struct store_model *out, struct error *err);

/* The name that a model pulled from a URL gets where none was chosen. ERR_INVALID where the URL is of a
 * known kind and wrong, or tells no name. */
enum status store_name_from_url(const char *url, char name[STORE_NAME_SIZE], struct error *err);

/* Where a model file that is to be called `name` (a full name) is made: a path in the store that
 * belongs to that name; its folder is there afterwards. *out is malloc'd. */
enum status store_import_path(const struct store *s, const char *name, char **out, struct error *err);

/* Takes a finished file from that path into the store under its name, instead of what had the name
 * before. source: where it is from, in words. The digest is the file's own. */
enum status store_adopt(const struct store *s, const char *name, const char *path, const char *source,
                        const struct store_events *ev, struct store_model *out, struct error *err);

/* A new name as a person types it: in lower case, with the tag "latest" where it has none. */
enum status store_new_name(const char *typed, char name[STORE_NAME_SIZE], struct error *err);

/* Gives the installed model `from` the further name `name`, with these settings (settings.h; NULL: none), instead
 * of what had that name before. No bytes are copied; `from` may be `name` itself. ERR_INVALID, ERR_UNSUPPORTED: the
 * settings. out may be NULL. */
enum status store_give_name(const struct store *s, const char *from, const char *name, const struct json_t *settings,
                            const struct store_events *ev, struct store_model *out, struct error *err);

/* A file that a client sends, named by its digest. It is kept for a day, or until a model is made of it. */
struct store_upload;
enum status store_upload_begin(const struct store *s, const char *digest, struct store_upload **out, struct error *err);
enum status store_upload_write(struct store_upload *u, const void *data, size_t len, struct error *err);
/* ERR_INTEGRITY: the bytes have another digest. Frees the upload in any case, and deletes what did not match. */
enum status store_upload_finish(struct store_upload *u, struct error *err);
void store_upload_abort(struct store_upload *u); /* NULL is fine */
/* Where the file with this digest lies, sent or installed; malloc'd. ERR_NOT_FOUND. */
enum status store_upload_path(const struct store *s, const char *digest, char **out, struct error *err);
void store_upload_forget(const struct store *s, const char *digest);
/* A new folder in which the sent files are found under these names (letters, digits, '.', '_' and '-', none twice);
 * malloc'd. store_upload_folder_remove deletes it, and frees. ERR_INVALID: a name; ERR_NOT_FOUND: a file. */
struct store_file {
    const char *name, *digest;
};
enum status store_upload_folder(const struct store *s, const struct store_file *files, size_t n, char **out,
                                struct error *err);
void store_upload_folder_remove(char *path); /* NULL is fine */

#endif
