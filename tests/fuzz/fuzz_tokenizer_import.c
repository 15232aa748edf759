/* libFuzzer target: a folder's tokenizer files from one input. What is imported must be a file whose
 * vocabulary opens and encodes.
 *
 * Input: for each of the files below two bytes of length (0: absent), and the bytes of all in turn; the
 * last one present takes the rest. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "folder_make.h"
#include "infer/vocab_gguf.h"
#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {
    "tokenizer_config.json", "config.json", "added_tokens.json", "special_tokens_map.json",
    "vocab.txt",             "merges.txt",  "vocab.json",        "tokenizer.model",
    "tokenizer.json",
};
enum { N_NAMES = sizeof names / sizeof names[0] };

static void use(const struct gguf *g)
{
    static const char text[] = "Un  caf\u00E9\u2581\xFF 123 <s>[CLS]\n\u4E2D def f(x):";
    struct vocab *v = NULL;
    struct token_list ids = {0};
    struct error err = {0};
    if (vocab_open(g, &v, &err)) __builtin_trap(); /* import tries what it writes */
    enum status st = tokenizer_encode(vocab_tokenizer(v), text, sizeof text - 1, true, &ids, &err);
    if (st != OK && st != ERR_UNSUPPORTED) __builtin_trap();
    for (size_t i = 0; i < ids.len; i++)
        if (ids.ids[i] < 0 || (size_t)ids.ids[i] >= tokenizer_n_tokens(vocab_tokenizer(v))) __builtin_trap();
    token_list_fini(&ids);
    vocab_close(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const archs[] = {"llama", "bert", "gemma2", "starcoder2"};
    static struct made_folder f;
    size_t lengths[N_NAMES], last = N_NAMES;
    if (size < 2 * N_NAMES + 1) return 0;
    if (!f.path[0]) folder_make(&f);
    const uint8_t *p = data + 1, *end = data + size;
    for (size_t i = 0; i < N_NAMES; i++, p += 2) {
        lengths[i] = (size_t)p[0] | (size_t)p[1] << 8;
        if (lengths[i]) last = i;
    }
    for (size_t i = 0; i < N_NAMES; i++) {
        size_t rest = (size_t)(end - p), n = i == last || lengths[i] > rest ? rest : lengths[i];
        folder_remove(&f, names[i]);
        if (lengths[i] == 0) continue;
        folder_put(&f, names[i], p, n);
        p += n;
    }
    struct error err = {0};
    const char *pre = data[0] & 4 ? "gpt-2" : NULL;
    struct gguf *g = folder_import(&f, archs[data[0] & 3], pre, NULL, &err);
    if (g)
        use(g);
    else if (err.code == OK || !err.msg[0])
        __builtin_trap();
    gguf_close(g);
    return 0;
}
