/* What commands that need a model's vocabulary, but not its weights, have in common. */
#ifndef HEARTH_CLI_LOAD_VOCAB_H
#define HEARTH_CLI_LOAD_VOCAB_H

#include "base/status.h"

struct gguf;
struct vocab;

struct vocab_file {
    struct gguf *gguf;
    struct vocab *vocab;
};

/* Resolves a model's name and opens its vocabulary; the file may hold nothing else. On failure there
 * is nothing to close. */
enum status vocab_file_open(const char *model, struct vocab_file *out, struct error *err);
void vocab_file_close(struct vocab_file *f);

#endif
