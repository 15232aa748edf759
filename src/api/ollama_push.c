/* Ollama's /api/push: a model to a registry. */
#include <stdlib.h>
#include <string.h>

#include "api/ollama.h"
#include "store/push.h"

struct pushing {
    struct ollama_work work; /* first */
    char name[STORE_NAME_SIZE];
    char destination[512];
    bool insecure;
};

static void pushing_free(struct ollama_work *w)
{
    free(w);
}

static enum status run_push(struct ollama_work *w, struct store *s, const struct store_events *ev,
                            struct error *err)
{
    struct pushing *p = (struct pushing *)w;
    char digest[72];
    /* The server's own token is not for whatever host a client names. */
    const struct push_request rq = {
        .name = p->name, .destination = p->destination, .allow_http = p->insecure};
    enum status st = store_push(s, &rq, ev, digest, err);
    if (st == OK) ollama_say(w, json_pack("{s:s}", "status", "success"));
    return st;
}

/* "HOST/REPOSITORY:TAG": the installed model is the part behind the last slash, as its own name or
 * a copy's. */
static void read_names(struct call *c, struct pushing *p, const char *model, struct reader *rd)
{
    const char *slash = strrchr(model, '/');
    struct error why = {0};
    if (!slash || !strchr(model, '.') || strlen(model) >= sizeof p->destination) {
        read_fail(rd, "'model' has to name where it goes: HOST/REPOSITORY/NAME:TAG, of which "
                      "NAME:TAG is installed");
        return;
    }
    snprintf(p->destination, sizeof p->destination, "%s", model);
    pthread_mutex_lock(&c->api->store_lock);
    if (store_resolve(c->api->opt.store, slash + 1, p->name, &why) != OK) rd->err = why;
    pthread_mutex_unlock(&c->api->store_lock);
}

static void post_push(struct call *c)
{
    struct reader rd = {.obj = c->body};
    const char *model = NULL;
    bool stream = true, insecure = false;
    struct pushing *p = calloc(1, sizeof *p);
    if (!p) {
        call_failf(c, 503, "out_of_memory", "no memory for the request");
        return;
    }
    read_string(&rd, "name", &model, NULL);
    read_string(&rd, "model", &model, NULL);
    read_bool(&rd, "stream", &stream);
    read_bool(&rd, "insecure", &insecure);
    if (!rd.err.code && (!model || !*model)) read_fail(&rd, "'model' is missing");
    if (!rd.err.code) read_names(c, p, model, &rd);
    if (rd.err.code) {
        free(p);
        call_error(c, &rd.err);
        return;
    }
    p->insecure = insecure;
    p->work =
        (struct ollama_work){.c = c, .stream = stream, .run = run_push, .destroy = pushing_free};
    snprintf(p->work.what, sizeof p->work.what, "%.95s", p->name);
    ollama_start(&p->work);
}

const struct route routes_ollama_push[] = {
    {"POST", "/api/push", &dialect_ollama, ROUTE_JSON | ROUTE_CHANGES, post_push},
    {0},
};
