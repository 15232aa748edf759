/* A whole server in this process for tests of the API: a model of a few kilobytes with random
 * weights, whose tokens are the 256 bytes and a code model's special ones, and clients of it. */
#ifndef HEARTH_TESTS_API_KIT_H
#define HEARTH_TESTS_API_KIT_H

#include <stddef.h>
#include <stdint.h>

struct api_kit;

/* Writes the model to `path`; aborts where that fails. */
void api_kit_write_model(const char *path);
/* Starts a server on a free port of this machine, its store an empty folder. Any failure aborts. */
struct api_kit *api_kit_start(void);
void api_kit_stop(struct api_kit *k);
int api_kit_port(const struct api_kit *k);

/* A connection, as one thread's. Answers are read to their end. */
struct api_client {
    const struct api_kit *kit;
    int fd;       /* negative: none is open */
    char *answer; /* of the last request, its head and body; owned */
    size_t n_answer, cap;
};
void api_client_init(struct api_client *c, const struct api_kit *k);
void api_client_fini(struct api_client *c);
/* Sends a POST of JSON and returns the answer's status. Dials where the connection was closed. */
int api_client_post(struct api_client *c, const char *path, const void *body, size_t len);
/* Sends the bytes of a request as they are, then says that nothing follows; 0 where no answer came.
 */
int api_client_raw(struct api_client *c, const void *data, size_t len);

/* ---- requests to begin with, one for each endpoint that takes JSON */
struct api_seed {
    const char *path, *body;
    int code; /* of its answer by this model, as it is; 0 = 200 */
};
extern const struct api_seed api_seeds[];
extern const size_t api_n_seeds;

/* A changed request, the same for equal states: values replaced by odd ones, members doubled or
 * left out, and sometimes bytes of the text damaged. malloc'd. */
char *api_kit_mutate(uint64_t *state, const struct api_seed *seed, size_t *len);
/* xorshift64*; the state must not be 0. */
uint64_t api_kit_random(uint64_t *state);

#endif
