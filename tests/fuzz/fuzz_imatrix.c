/* libFuzzer target: any bytes as an importance matrix, GGUF or .dat. What is taken must be sound:
 * sorted names, finite values, as many as are told. `fuzz_imatrix_seeds FOLDER` writes files to
 * start from. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/column_weights_int.h"
#include "gguf/gguf_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *check(const struct column_weights *im)
{
    for (size_t i = 0; i < column_weights_n_entries(im); i++) {
        const struct column_weight *e = column_weights_at(im, i);
        if (!e->name || !*e->name) return "an entry without a name";
        if (i > 0 && strcmp(e[-1].name, e->name) >= 0) return "entries out of order";
        if (column_weights_find(im, e->name) != e) return "an entry that is not found";
        if (e->n == 0 || e->columns == 0 || e->n % e->columns) return "an impossible shape";
        for (uint64_t j = 0; j < e->n; j++)
            if (!isfinite(e->values[j]) || e->values[j] < 0) return "an impossible value";
    }
    return column_weights_n_entries(im) ? NULL : "no entries";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct column_weights *im = calloc(1, sizeof *im);
    struct gguf *g = NULL;
    struct error err = {0};
    enum status st;
    if (!im) return 0;
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) {
        st = gguf_open_memory(data, size, "fuzzed", &g, &err);
        if (!st) st = column_weights_from_gguf(g, im, &err);
    } else {
        st = column_weights_from_dat(data, size, "fuzzed", im, &err);
    }
    if (!st) st = column_weights_finish(im, "fuzzed", &err);
    const char *wrong = !st                          ? check(im)
                        : err.code != st             ? "an error without its code"
                        : !strstr(err.msg, "fuzzed") ? "an error without the file's name"
                                                     : NULL;
    gguf_close(g);
    column_weights_close(im);
    if (!wrong) return 0;
    fprintf(stderr, "%s (message: %s)\n", wrong, err.msg);
    abort();
}
