/* Writes the first inputs of fuzz_safetensors into a folder. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *header;
    size_t data;
} seeds[] = {
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]}}", 8},
    {"{\"__metadata__\":{\"format\":\"pt\"},\"a.b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_"
     "offsets\":[0,6]},"
     "\"c\":{\"shape\":[],\"data_offsets\":[6,7],\"dtype\":\"U8\"}}   ",
     7},
    {"{\"\\u00e9\\ud83d\\ude00\":{\"dtype\":\"F8_E4M3\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0},
    {"{}", 0},
    {"{\"a\":{\"dtype\":\"I64\",\"shape\":[1,1,1],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"I32\","
     "\"shape\":[1],"
     "\"data_offsets\":[4,8]}}",
     8},
};

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/seed-%zu", argv[1], i);
        FILE *f = fopen(path, "wb");
        if (!f) return 1;
        uint64_t n = strlen(seeds[i].header);
        for (int b = 0; b < 8; b++) fputc((int)(n >> 8 * b & 255), f);
        fwrite(seeds[i].header, 1, (size_t)n, f);
        for (size_t b = 0; b < seeds[i].data; b++) fputc((int)b, f);
        fclose(f);
    }
    return 0;
}
