/* Requests of every endpoint that takes JSON, to a whole server in this process: the first byte
 * chooses the endpoint, the rest is the body. Only 2xx and 4xx are right. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../api/api_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct api_kit *kit;
static struct api_client client;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 20000) return 0;
    if (!kit) {
        kit = api_kit_start();
        api_client_init(&client, kit);
    }
    const char *path = api_seeds[data[0] % api_n_seeds].path;
    int code = api_client_post(&client, path, data + 1, size - 1);
    if (code >= 200 && code < 300) return 0;
    if (code >= 400 && code < 500) return 0;
    fprintf(stderr, "%s: status %d\n", path, code);
    abort();
}
