#include "api/api.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "api/api_int.h"
#include "api/search_projects.h"

extern const unsigned char openapi_text[];
extern const unsigned long openapi_text_len;

enum status api_create(const struct api_options *opt, struct api **out, struct error *err)
{
    struct api *a = *out = calloc(1, sizeof *a);
    if (!a) return error_set(err, ERR_NOMEM, "no memory for the server");
    a->opt = *opt;
    metrics_init(&a->metrics);
    pthread_mutex_init(&a->store_lock, NULL);
    enum status st = served_create(&a->opt, &a->served, err);
    if (st == OK && opt->n_projects && !(a->projects = search_projects_create(opt, err))) st = err->code;
    if (st != OK) {
        api_destroy(a);
        *out = NULL;
    }
    return st;
}

enum status api_preload(struct api *a, struct error *err)
{
    struct loaded_model *m;
    enum status st = served_acquire(a->served, NULL, &m, err);
    if (st == OK) served_release(m, NAN);
    return st;
}

void api_set_rules(struct api *a, const struct api_rules *rules)
{
    a->opt.rules = *rules;
}

void api_shut_down(struct api *a)
{
    atomic_store(&a->shutting, true);
}

void api_destroy(struct api *a)
{
    if (!a) return;
    api_shut_down(a);
    /* Threads beside the scheduler's (pulls, unloads) look at the flag. */
    while (atomic_load(&a->n_jobs)) nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    search_projects_destroy(a->projects);
    served_destroy(a->served);
    metrics_fini(&a->metrics);
    pthread_mutex_destroy(&a->store_lock);
    free(a);
}

const char *api_openapi(size_t *len)
{
    *len = openapi_text_len;
    return (const char *)openapi_text;
}
