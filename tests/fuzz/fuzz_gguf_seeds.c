/* Writes the first inputs for fuzz_gguf into a folder. */
#include <stdio.h>

#include "gguf_build.h"

static int save(const char *folder, const char *name, const struct buf *b)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return 1;
    FILE *f = fopen(path, "wb");
    if (!f) return 1;
    int failed = fwrite(b->data, 1, b->len, f) != b->len;
    return fclose(f) != 0 || failed;
}

/* One file per key type, so that each is small and the fuzzer can recombine them. */
static int save_single_keys(const char *folder)
{
    int failed = 0;
    for (uint32_t type = GGUF_U8; type <= GGUF_F64; type++) {
        struct gguf_build b;
        struct buf out;
        char name[32];
        build_init(&b, 2 + type % 2);
        buf_init(&out, 1 << 16);
        if (type == GGUF_STRING)
            build_str(&b, "key", "text");
        else if (type == GGUF_ARRAY)
            build_strings(&b, "key", (const char *const[]){"a", "", "bc"}, 3);
        else
            build_number(&b, "key", type, 1);
        if (type != GGUF_ARRAY && type != GGUF_STRING)
            build_array(&b, "list", type, 1, "\1\0\0\0\0\0\0\0",
                        (const uint8_t[]){1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}[type]);
        build_finish(&b, &out);
        snprintf(name, sizeof name, "key-%u", type);
        failed |= save(folder, name, &out);
        buf_fini(&out);
        build_fini(&b);
    }
    return failed;
}

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    int failed = save_single_keys(argv[1]);
    for (uint32_t version = 2; version <= 3; version++) {
        struct buf out;
        buf_init(&out, 1 << 20);
        build_sample(version, &out);
        failed |= save(argv[1], version == 2 ? "sample-v2" : "sample-v3", &out);
        buf_fini(&out);
    }
    return failed;
}
