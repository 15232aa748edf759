/* Writes a vocabulary-only GGUF of a folder's tokenizer: vocab_import FOLDER ARCH OUT [PRE]. For the
 * comparisons with other programs (compare_tokenizer.py). */
#include <stdio.h>

#include "convert/tokenizer_import.h"
#include "gguf/gguf_write.h"

int main(int argc, char **argv)
{
    struct gguf_writer *w = NULL;
    struct error err = {0};
    struct tokenizer_import_info info = {0};
    if (argc < 4) return 2;
    struct tokenizer_import_options options = {.pre = argc > 4 ? argv[4] : NULL};
    enum status st = gguf_writer_begin(argv[3], 0, &w, &err);
    if (st == OK) {
        gguf_writer_str(w, "general.architecture", argv[2]);
        st = tokenizer_import(argv[1], argv[2], &options, w, &info, &err);
    }
    if (st == OK) st = gguf_writer_start(w, &err);
    if (st == OK)
        st = gguf_writer_commit(w, &err);
    else
        gguf_writer_abandon(w);
    if (st) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    printf("%s: model %s, pre %s, %zu tokens (%zu padding), %zu merges, %zu templates, fim %d %d %d\n",
           info.source, info.model, info.pre, info.n_tokens, info.n_padding, info.n_merges,
           info.n_templates, info.fim_pre, info.fim_suf, info.fim_mid);
    return 0;
}
