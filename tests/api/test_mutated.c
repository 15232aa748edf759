/* Mutated requests to a whole server: 2xx or 4xx, an error's body in JSON, and it lives on.
 *
 *   test_mutated [REQUESTS [SEED]]    1,000,000 of them under sanitizers: `make soak` */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_kit.h"

enum { CLIENTS = 4, SOME = 6000 };

static struct api_kit *kit;
static atomic_ullong next_request;
static unsigned long long n_requests, first_seed = 1;
static atomic_ullong codes[600];
static atomic_bool failed;

static bool right(int code, const struct api_client *c)
{
    if (code >= 200 && code < 300) return true;
    const char *body = c->n_answer ? strstr(c->answer, "\r\n\r\n") : NULL;
    return code >= 400 && code < 500 && body && strstr(body, "\"error\"");
}

static void *ask(void *arg)
{
    (void)arg;
    struct api_client c;
    api_client_init(&c, kit);
    while (!atomic_load(&failed)) {
        unsigned long long i = atomic_fetch_add(&next_request, 1);
        if (i >= n_requests) break;
        uint64_t state = (first_seed << 40 ^ i) * 0x9E3779B97F4A7C15ULL | 1;
        const struct api_seed *seed = &api_seeds[i % api_n_seeds];
        size_t len = 0;
        /* The first of each endpoint goes as it is, which shows that all can be answered. */
        char *body = i < api_n_seeds ? strdup(seed->body) : api_kit_mutate(&state, seed, &len);
        if (!body) abort();
        if (i < api_n_seeds) len = strlen(body);
        int code = api_client_post(&c, seed->path, body, len);
        atomic_fetch_add(&codes[code >= 0 && code < 600 ? code : 0], 1);
        if (!right(code, &c) || (i < api_n_seeds && code != (seed->code ? seed->code : 200))) {
            fprintf(stderr, "request %llu: status %d\nPOST %s\n%.*s\n%s\n", i, code, seed->path,
                    (int)len, body, c.n_answer ? c.answer : "(no answer)");
            atomic_store(&failed, true);
        }
        free(body);
    }
    api_client_fini(&c);
    return NULL;
}

int main(int argc, char **argv)
{
    n_requests = argc > 1 ? strtoull(argv[1], NULL, 10) : SOME;
    if (argc > 2) first_seed = strtoull(argv[2], NULL, 10);
    kit = api_kit_start();
    pthread_t clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        if (pthread_create(&clients[i], NULL, ask, NULL) != 0) return 1;
    for (int i = 0; i < CLIENTS; i++) pthread_join(clients[i], NULL);
    struct api_client c;
    api_client_init(&c, kit);
    int code = api_client_raw(&c, "GET /health HTTP/1.0\r\n\r\n", 24);
    api_client_fini(&c);
    api_kit_stop(kit);
    unsigned long long good = 0, bad = 0;
    for (int i = 0; i < 600; i++) {
        if (codes[i]) printf("%d: %llu\n", i, codes[i]);
        *(i < 300 ? &good : &bad) += codes[i];
    }
    /* Both kinds were tried, else the mutations are too wild or too tame. */
    bool mixed = 10 * good > n_requests && 10 * bad > n_requests;
    if (code != 200 || !mixed) fprintf(stderr, "health %d, %llu good, %llu bad\n", code, good, bad);
    return failed || code != 200 || !mixed;
}
