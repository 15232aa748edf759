/* A download under way: partial/HEX, named by the SHA-256 that the whole must have.
 *
 * Since the name is the digest of the finished file, a beginning left by one source may be
 * continued by another: whatever it holds, it becomes visible only when the whole has that digest.
 * The digest is computed while the bytes are written, and over what is there when a partial is
 * reopened. The caller holds the digest's lock. Inside of module store. */
#ifndef HEARTH_STORE_PARTIAL_H
#define HEARTH_STORE_PARTIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sha256_chain.h"
#include "store/store_int.h"

struct partial {
    const struct store *store;
    const struct store_events *events;
    char digest[65];
    char *path, *note_path;
    int fd;
    uint64_t len;      /* bytes written and hashed */
    uint64_t expected; /* size of the whole; 0 = not known yet */
    uint64_t shown;    /* last position reported, so that progress never goes back */
    struct sha256_chain hash;
    char etag[128]; /* of the server that the bytes came from, and its host; "" = not known */
    char host[256];
};

/* Opens or creates; hashes what is there. A beginning longer than `expected` is dropped. */
enum status partial_open(const struct store *s, const char *digest, uint64_t expected,
                         const struct store_events *ev, struct partial *out, struct error *err);
/* Closes; the file stays for the next attempt. */
void partial_close(struct partial *p);
/* Closes and deletes. */
void partial_discard(struct partial *p);

/* ERR_INTEGRITY past the expected size; ERR_IO, with advice, where the disk is full. */
enum status partial_write(struct partial *p, const void *data, size_t len, struct error *err);

/* Cuts back to `len` bytes, and hashes those again unless that is none. */
enum status partial_truncate(struct partial *p, uint64_t len, struct error *err);

/* Reports progress at `position`, or where it was already shown to be. False = stop. */
bool partial_report(struct partial *p, enum store_phase phase, uint64_t position);

/* Learns the size of the whole from a server. ERR_INTEGRITY where it contradicts what is known,
 * ERR_IO where the disk has no room for it. */
enum status partial_expect(struct partial *p, uint64_t bytes, struct error *err);

/* Records whose bytes these are, for If-Range. Failure to do so is harmless. */
void partial_note(struct partial *p, const char *host, const char *etag);

/* Checks size and digest, makes the file durable and read-only, moves it to its place among the
 * blobs, and closes. On ERR_INTEGRITY, and when the disk reports a write error while syncing, the
 * file is deleted: after a failed fsync its pages may be lost while reading still shows them. */
enum status partial_finish(struct partial *p, struct error *err);

#endif
