/* The folder of real vocabularies, named by the environment variable HEARTH_VOCAB_DIR. */
#ifndef HEARTH_TESTS_VOCAB_DIR_H
#define HEARTH_TESTS_VOCAB_DIR_H

#include <stdbool.h>
#include <stddef.h>

struct gguf;
struct vocab;

enum { EXIT_SKIPPED = 77 }; /* as Meson and Automake understand it */

/* NULL or "" counts as not set. */
const char *vocab_dir(void);

/* Calls `visit` for each ggml-vocab-*.gguf in the folder that a tokenizer can be made of, in the order
 * of the names; stops where it returns false. Returns the number visited, or -1 where a file that
 * should open did not (a message went to standard error). Files of other kinds (WordPiece, Unigram)
 * are left out. */
int vocab_dir_each(bool (*visit)(const char *path, const struct vocab *v, void *ctx), void *ctx);

#endif
