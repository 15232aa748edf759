/* libFuzzer target: any bytes as a GGUF file, every accessor on what opens. An inconsistency is a
 * crash. `fuzz_gguf_seeds FOLDER` writes files to start from. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf_int.h"
#include "gguf_exercise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf *g = NULL;
    struct error err = {0};
    enum status st = gguf_open_memory(data, size, "fuzzed.gguf", &g, &err);
    const char *wrong = NULL;
    if (st)
        wrong = g                                 ? "an error and a model"
                : err.code != st                  ? "an error without its code"
                : !strstr(err.msg, "fuzzed.gguf") ? "an error without the file's name"
                                                  : NULL;
    else
        wrong = gguf_exercise(g, data, size);
    gguf_close(g);
    if (!wrong) return 0;
    fprintf(stderr, "%s (message: %s)\n", wrong, err.msg);
    abort();
}
