#include "cli/load_vocab.h"

#include <stdlib.h>

#include "cli/cli.h"
#include "cli/confined.h"
#include "gguf/gguf.h"
#include "infer/vocab_gguf.h"

enum status vocab_file_open(const char *model, struct vocab_file *out, struct error *err)
{
    *out = (struct vocab_file){0};
    char *path = NULL;
    enum status st = cli_resolve_model(model, &path, err);
    if (st == OK) st = confined_model(path, err);
    if (st == OK) st = gguf_open(path, &out->gguf, err);
    if (st == OK) st = vocab_open(out->gguf, &out->vocab, err);
    free(path);
    if (st) vocab_file_close(out);
    return st;
}

void vocab_file_close(struct vocab_file *f)
{
    vocab_close(f->vocab);
    gguf_close(f->gguf);
    *f = (struct vocab_file){0};
}
