#include "vocab_dir.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf.h"
#include "infer/vocab_gguf.h"

const char *vocab_dir(void)
{
    const char *dir = getenv("HEARTH_VOCAB_DIR");
    return dir && *dir ? dir : NULL;
}

static bool other_kind(const struct gguf *g)
{
    static const char *const ours[] = {"gpt2", "llama", "gemma4", "bert", "t5"};
    struct gguf_str model;
    if (gguf_get_str(g, "tokenizer.ggml.model", &model, NULL)) return false;
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (gguf_str_eq(model, ours[i])) return false;
    return true;
}

int vocab_dir_each(bool (*visit)(const char *path, const struct vocab *v, void *ctx), void *ctx)
{
    char pattern[4096];
    snprintf(pattern, sizeof pattern, "%s/ggml-vocab-*.gguf", vocab_dir());
    glob_t found;
    if (glob(pattern, 0, NULL, &found) != 0) return 0;
    int n = 0;
    bool go_on = true;
    for (size_t i = 0; i < found.gl_pathc && go_on && n >= 0; i++) {
        struct gguf *g = NULL;
        struct vocab *v = NULL;
        struct error err = {0};
        if (gguf_open(found.gl_pathv[i], &g, &err) ||
            (!other_kind(g) && vocab_open(g, &v, &err))) {
            fprintf(stderr, "%s\n", err.msg);
            n = -1;
        }
        if (v) {
            go_on = visit(found.gl_pathv[i], v, ctx);
            n++;
        }
        vocab_close(v);
        gguf_close(g);
    }
    globfree(&found);
    return n;
}
