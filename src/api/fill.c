#include "api/fill.h"

#include <string.h>

bool job_add_fill(struct job *j, const struct fill *f)
{
    const struct loaded_model *m = j->m;
    struct error err = {0};
    if (!m->has_fim) {
        call_failf(
            j->c, 501, "not_supported",
            "%s cannot fill in code: its vocabulary has no fill-in-the-middle tokens; use a code "
            "model such as qwen2.5-coder:1.5b",
            m->name);
        return false;
    }
    struct job_part *p = job_add_part(j);
    if (!p) {
        call_failf(j->c, 400, "limit_exceeded", "a request may have at most %d prompts",
                   JOB_MAX_PARTS);
        return false;
    }
    /* Room for at least one token; an explicit number of tokens has its room. */
    size_t answer = j->explicit_max && j->q.max_tokens < j->n_ctx / 2 ? j->q.max_tokens : 1;
    struct fim_input in = {f->prefix,     f->prefix_len, f->suffix,
                           f->suffix_len, f->file,       j->n_ctx - (answer ? answer : 1)};
    size_t needed = 0;
    enum status st = fim_build_files(&m->fim, m->tok, f->repo, f->files, f->n_files, &in,
                                     &p->prompt, &needed, &err);
    if (st == ERR_LIMIT) {
        struct failure fail = {400, "context_length_exceeded", err.msg, needed, j->n_ctx};
        call_fail(j->c, &fail);
        return false;
    }
    if (st != OK) {
        call_error(j->c, &err);
        return false;
    }
    j->q.stop = m->fim.stop;
    j->q.n_stop = m->fim.n_stop;
    j->q.cls = SCHED_COMPLETION;
    j->q.supersedes = j->c->named_client;
    return true;
}
