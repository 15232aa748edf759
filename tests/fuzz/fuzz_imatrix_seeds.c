/* Writes the first inputs for fuzz_imatrix into a folder: one matrix in each format. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "gguf_build.h"

static int save(const char *folder, const char *name, const void *data, size_t len)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return 1;
    FILE *f = fopen(path, "wb");
    if (!f) return 1;
    int failed = fwrite(data, 1, len, f) != len;
    return fclose(f) != 0 || failed;
}

static int save_gguf(const char *folder)
{
    static const struct {
        const char *name;
        uint64_t ne[3], size;
    } tensors[] = {
        {"blk.0.ffn_up.weight.in_sum2", {4, 1}, 16},
        {"blk.0.ffn_up.weight.counts", {1, 1}, 4},
        {"blk.0.ffn_up_exps.weight.in_sum2", {4, 2}, 32},
        {"blk.0.ffn_up_exps.weight.counts", {1, 2}, 8},
    };
    struct gguf_build b;
    struct buf out;
    build_init(&b, 3);
    buf_init(&out, 1 << 16);
    build_str(&b, "general.type", "imatrix");
    build_strings(&b, "imatrix.datasets", (const char *const[]){"a.txt"}, 1);
    build_number(&b, "imatrix.chunk_count", GGUF_U32, 3);
    for (size_t i = 0; i < 4; i++)
        build_tensor(&b, tensors[i].name, 0, tensors[i].ne, tensors[i].size);
    build_finish(&b, &out);
    int failed = save(folder, "gguf", out.data, out.len);
    buf_fini(&out);
    build_fini(&b);
    return failed;
}

static int save_dat(const char *folder)
{
    static const char bytes[] = "\2\0\0\0"
                                "\1\0\0\0a\2\0\0\0\2\0\0\0\0\0\x80?\0\0\0@"
                                "\3\0\0\0abc\0\0\0\0\1\0\0\0\0\0\0\0"
                                "\7\0\0\0\5\0\0\0a.txt";
    return save(folder, "dat", bytes, sizeof bytes - 1);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: fuzz_imatrix_seeds FOLDER\n");
        return 2;
    }
    return save_gguf(argv[1]) || save_dat(argv[1]);
}
