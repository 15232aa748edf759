/* The record of a file's signatures: signatures/HEX.json, {"version": 1, "blake2b": HEX,
 * "signatures": [TEXT...]}. Inside of module store. */
#ifndef HEARTH_STORE_SIGNATURE_FILE_H
#define HEARTH_STORE_SIGNATURE_FILE_H

#include "store/store_int.h"
#include "trust/signature.h"

enum { SIGNATURES_MAX = 16, SIGNATURES_MAX_BYTES = 64 << 20 };

struct signature_record {
    char sha256[65];
    bool has_blake2b;
    uint8_t blake2b[BLAKE2B_BYTES]; /* of the same bytes */
    json_t *texts;                  /* owned array of strings */
};
/* No record is an empty one. ERR_FORMAT. */
enum status signature_record_read(const struct store *s, const char *sha256,
                                  struct signature_record *out, struct error *err);
/* Puts a signature first; one that is there already moves. ERR_LIMIT. */
enum status signature_record_add(struct signature_record *r, const char *text, size_t len,
                                 struct error *err);
enum status signature_record_write(const struct store *s, const struct signature_record *r,
                                   struct error *err);
void signature_record_fini(struct signature_record *r);

#endif
