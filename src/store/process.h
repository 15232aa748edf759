/* Running another program: no shell, no inherited descriptors, its last words kept for messages.
 * Inside of module store. */
#ifndef HEARTH_STORE_PROCESS_H
#define HEARTH_STORE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { PROCESS_TAIL = 4096 };

struct process_result {
    int exit_code;           /* 128 + signal where one ended it; 127 = not found */
    char tail[PROCESS_TAIL]; /* end of what it wrote on standard error, NUL-terminated */
};

/* Runs argv[0] (looked up in PATH) with `env` ("NAME=value" strings, NULL-ended) added to this
 * process's environment, input and output on /dev/null, and waits. `tick` is called about five
 * times a second; when it returns false the program is stopped and ERR_CANCELLED returned. The
 * program dies with this process. Any exit code is OK here. */
enum status process_run(char *const argv[], char *const env[], bool (*tick)(void *ctx), void *ctx,
                        struct process_result *out, struct error *err);

/* Copies the last line of `tail` that starts with "ERROR", else the last one that is not empty. */
void process_last_words(const char *tail, char *dst, size_t cap);

#endif
