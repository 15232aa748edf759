/* Renders templates for tests/e2e/test_chat_templates.py. Each line of standard input is a job,
 * {"template": TEXT, "vars": OBJECT, "now": SECONDS}; each line of output its result,
 * {"text": TEXT} or {"error": TEXT, "status": NAME}, with what it took: "ms" of this thread's time,
 * "memory", "steps", and "rss", the kilobytes that the program has had at most so far. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "text/jinja.h"

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static json_t *run(const json_t *job)
{
    const json_t *source = json_object_get(job, "template");
    struct jinja_options opt = {.now = json_integer_value(json_object_get(job, "now"))};
    struct jinja_template *t = NULL;
    struct jinja_cost cost = {0};
    struct error err = {0};
    struct buf out;
    buf_init(&out, (size_t)256 << 20);
    double begin = cpu_ms();
    enum status st = jinja_compile(json_string_value(source), json_string_length(source), &t, &err);
    if (st == OK) st = jinja_render(t, json_object_get(job, "vars"), &opt, &out, &cost, &err);
    double ms = cpu_ms() - begin;
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    json_t *r = json_pack("{s:f, s:I, s:I, s:I}", "ms", ms, "memory", (json_int_t)cost.memory, "steps",
                          (json_int_t)cost.steps, "rss", (json_int_t)use.ru_maxrss);
    if (st == OK)
        json_object_set_new(r, "text", json_stringn(out.data ? out.data : "", out.len));
    else {
        json_object_set_new(r, "error", json_string(err.msg));
        json_object_set_new(r, "status", json_string(status_name(st)));
    }
    buf_fini(&out);
    jinja_destroy(t);
    return r;
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        json_t *job = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, NULL);
        if (!job) {
            fprintf(stderr, "jinja_render: a line is no JSON\n");
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
