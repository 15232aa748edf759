/* What the programs that render templates for tests/e2e have in common: a job of JSON a line comes in,
 * its result goes out. */
#ifndef HEARTH_TESTS_JSON_LINES_H
#define HEARTH_TESTS_JSON_LINES_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Of this thread. */
static inline double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/* Gives each line of standard input to `run`, whose result is new. The program's exit code: 2 where a line
 * is no JSON. */
static inline int json_lines(const char *program, json_t *(*run)(const json_t *job))
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        json_t *job = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, NULL);
        if (!job) {
            fprintf(stderr, "%s: a line is no JSON\n", program);
            free(line);
            return 2;
        }
        json_t *r = run(job);
        json_dumpf(r, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
        json_decref(r);
        json_decref(job);
    }
    free(line);
    return 0;
}

#endif
