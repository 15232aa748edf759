/* What the store's tests share: a store in a folder of its own. Failures abort the test. */
#ifndef HEARTH_TESTS_STORE_KIT_H
#define HEARTH_TESTS_STORE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/store_int.h"

/* Makes a folder under $TMPDIR with an empty catalogue, and opens a store there. */
struct store *kit_store(void);
/* Closes it and deletes the folder. */
void kit_drop(struct store *s);

/* Writes a file in the store's folder, parents included. */
void kit_write(const struct store *s, const char *rel, const void *data, size_t len);
bool kit_exists(const struct store *s, const char *rel);

/* Writes a model file and its manifest as a pull does. */
void kit_install(const struct store *s, const char *name, const char *content);

/* SHA-256 of a string, in hex. */
const char *kit_digest(const char *text, char hex[65]);

#endif
