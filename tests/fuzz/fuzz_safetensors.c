/* libFuzzer target: a safetensors file. What opens is walked: every tensor lies inside, has the
 * bytes of its shape, and is found by its name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/safetensors_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct safetensors *s, const uint8_t *data, size_t size)
{
    static volatile uint8_t sink;
    char hex[SHA256_HEX_SIZE];
    uint64_t bytes = 0;
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const struct safetensor *t = safetensors_at(s, i);
        uint64_t n = safetensor_type_size(t->type);
        for (uint32_t d = 0; d < t->n_dims; d++) n *= t->shape[d];
        if (n != t->size || safetensors_find(s, t->name.data) != t ||
            strlen(t->name.data) != t->name.len)
            __builtin_trap();
        if (t->size && (t->data < data || t->data + t->size > data + size)) __builtin_trap();
        for (uint64_t b = 0; b < t->size; b++) sink ^= t->data[b];
        bytes += t->size;
    }
    if (bytes > size || safetensors_identity(s, hex, NULL)) __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors *s = NULL;
    struct error err = {0};
    enum status st = safetensors_open_memory(data, size, "fuzz.safetensors", &s, &err);
    if (st == OK)
        walk(s, data, size);
    else if (s || err.code != st || !err.msg[0])
        __builtin_trap();
    safetensors_close(s);
    return 0;
}
