/* Folders with a tokenizer's files, made for one test and gone after it, and what is imported from them.
 * A failure of the maker itself aborts the test program. */
#ifndef HEARTH_TESTS_FOLDER_MAKE_H
#define HEARTH_TESTS_FOLDER_MAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "convert/tokenizer_import.h"
#include "gguf/gguf.h"

struct made_folder {
    char path[64];
};

void folder_make(struct made_folder *f);
void folder_put(const struct made_folder *f, const char *name, const void *bytes, size_t len);
void folder_text(const struct made_folder *f, const char *name, const char *text);
void folder_remove(const struct made_folder *f, const char *name);
/* With everything in it. */
void folder_fini(const struct made_folder *f);

/* Imports into a file in the folder and opens it; NULL where `err` tells why not. */
struct gguf *folder_import(const struct made_folder *f, const char *arch, const char *pre,
                           struct tokenizer_import_info *info, struct error *err);

#endif
