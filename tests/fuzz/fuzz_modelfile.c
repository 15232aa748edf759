/* libFuzzer target: a Modelfile. What is read and can be printed reads back the same. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/modelfile.h"
#include "store/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct modelfile m, again;
    struct buf out;
    if (modelfile_parse((const char *)data, size, "M", &m, NULL) != OK) return 0;
    settings_check(m.settings, NULL);
    buf_init(&out, 64 << 20);
    if (modelfile_print(m.from, m.settings, &out, NULL) == OK) {
        if (modelfile_parse(out.data, out.len, "M", &again, NULL) != OK) abort();
        if (strcmp(m.from, again.from) != 0 || !json_equal(m.settings, again.settings)) abort();
        modelfile_fini(&again);
    }
    buf_fini(&out);
    modelfile_fini(&m);
    return 0;
}
