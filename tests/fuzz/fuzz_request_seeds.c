/* Writes the requests to begin with, one for each endpoint: fuzz_request_seeds FOLDER. */
#include <stdio.h>
#include <string.h>

#include "../api/api_kit.h"

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    for (size_t i = 0; i < api_n_seeds; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/seed-%zu", argv[1], i);
        FILE *f = fopen(path, "wb");
        if (!f) return 1;
        fputc((int)i, f);
        fwrite(api_seeds[i].body, 1, strlen(api_seeds[i].body), f);
        if (fclose(f) != 0) return 1;
    }
    return 0;
}
