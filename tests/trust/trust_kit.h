/* What the tests of trust share: keys, models of several files, and signatures of whatever one
 * likes. Failures abort the test. */
#ifndef HEARTH_TESTS_TRUST_KIT_H
#define HEARTH_TESTS_TRUST_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trust/signature.h"

/* Pairs of a secret key and its public one; the first six: two of each curve, then two of minisign.
 */
enum { KIT_KEYS = 8, KIT_MINISIGN = 6 };
struct kit_key {
    struct trust_key secret, public;
    char *secret_text, *public_text;
};
struct kit_key *kit_keys(void);
void kit_keys_drop(struct kit_key *keys);

/* A folder under $TMPDIR that kit_remove deletes with all that is in it. */
char *kit_folder(void);
void kit_remove(char *folder);
void kit_write(const char *folder, const char *rel, const void *data, size_t len);
void kit_make_folder(const char *folder, const char *rel);
/* Model number n: 2 to 9 files of up to 3,000 bytes in up to three levels of folders. Returns how
 * many. */
int kit_model(const char *folder, unsigned n);
/* Name and number of bytes of its file i. */
void kit_model_file(unsigned n, int i, char name[64], size_t *len);

/* A bundle's text around any statement and type, signed by one key and naming another. malloc'd. */
char *kit_bundle(const char *statement, const char *payload_type, const struct trust_key *signer,
                 const char *hint);
/* The statement of a bundle's text. malloc'd. */
char *kit_statement(const char *bundle);
/* The text with the first `from` replaced; malloc'd; fails where it does not occur. */
char *kit_replace(const char *text, const char *from, const char *to);

/* Text of a signature over folder or file; malloc'd. */
char *kit_sign(const char *path, const struct trust_key *k);
/* What checking gives: signature text against a path with a key. */
enum status kit_check(const char *text, size_t len, const char *path, const struct trust_key *k,
                      struct error *err);

#endif
