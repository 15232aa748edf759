/* Inside of the scheduler: requests, the texts (lanes) that they write, and the steps that do it.
 *
 * Under `lock` are the inbox, the list of requests alive and the published figures; all else
 * belongs to the scheduler's thread. */
#ifndef HEARTH_INFER_SCHEDULER_INT_H
#define HEARTH_INFER_SCHEDULER_INT_H

#include <pthread.h>

#include "base/buf.h"
#include "infer/draft.h"
#include "infer/infer_int.h"
#include "infer/prefix_cache.h"
#include "infer/scheduler.h"
#include "infer/text_io.h"
#include "kern/kern.h"

struct request;

/* Who asks: takes turns with others (deficit round robin). */
struct client {
    char name[SCHED_MAX_CLIENT + 1];
    /* Rows that it may still take, by class; negative: it took more. */
    long long deficit[SCHED_CLASSES];
    struct request *first, *last; /* its requests, oldest first */
    struct client *prev, *next;   /* ring of all */
};

/* One text that is being written: a sample of a request. */
struct lane {
    struct request *req;
    size_t sample;
    struct kv_seq *seq; /* NULL: it holds no pages */
    bool awaits_prompt; /* until sample 0 has read the prompt, whose pages it will share */
    bool done;
    bool shares_tail;  /* the page it writes to next may be another's too */
    bool keeps;        /* its pages go to the cache, none is missing before */
    uint64_t admitted; /* order of the first admission; 0: not yet */
    unsigned skipped;  /* steps in a row that had no room for its row */

    int32_t *text; /* [req->max_text]: prompt and answer */
    size_t n_text;
    struct prefix_key *keys; /* [req->max_text / KERN_KV_PAGE]: of whole pages of text */
    size_t n_keys;
    size_t n_kept; /* pages of seq that the cache has */

    struct sampler *sampler;
    void *mask;
    struct forced forced;
    void *drafter;
    bool drafts;

    /* This step. */
    size_t take;      /* rows of its text */
    size_t planned;   /* pages counted for them */
    size_t logits_at; /* index of its first row of logits */
    struct draft draft;

    /* What it has written. */
    struct text_stream stream;
    struct buf out;                 /* whole characters so far, `begin` included */
    size_t n_raw;                   /* bytes of all tokens so far */
    size_t given;                   /* bytes of `out` that were given */
    size_t searched;                /* of `out`: no stop text begins before */
    struct sched_token *tokens;     /* [req->max_new] */
    struct sched_alternative *tops; /* [req->max_new][n_top] */
    size_t n_tokens, tokens_given;
    struct sched_sample result;
};

struct request {
    struct sched_request r; /* its pointers own their copies */
    uint64_t ticket;
    size_t n_samples, n_lanes; /* given and drawn */
    size_t max_new, max_text;
    struct prefix_key root;
    struct prefix_key *prompt_keys; /* [n_prompt / KERN_KV_PAGE] */
    size_t n_prompt_keys;
    bool needs_logprobs;
    struct sched_token *prompt_tokens; /* where prompt_logprobs */
    struct sched_alternative *prompt_tops;
    double submitted, deadline, begun, prompt_read, first_token, last_token;
    int cause;    /* 1 + the enum finish_reason by which it is to end; atomic */
    bool in_step; /* under lock: the step at hand has rows of it */

    struct lane *lanes; /* [n_lanes]; NULL before its first admission */
    size_t n_cached, n_generated, n_drafted, n_accepted, n_preempted;
    bool ended;       /* whatever its lanes say */
    uint64_t blocked; /* the step in which it cannot get rows any more */
    enum status status;
    struct error error;

    struct client *client;
    struct request *client_prev, *client_next;
    struct request *prev, *next; /* all that are alive, under lock */
    struct request *inbox_next;
};

struct job {
    struct sched_job job;
    struct job *next;
};

struct scheduler {
    struct engine *e;
    struct sched_options opt; /* with defaults filled in */
    size_t n_vocab;
    struct kv_pool *pool;
    struct prefix_cache *cache; /* NULL: none */
    int32_t *ends;              /* tokens that end a text */
    size_t n_ends;
    uint16_t *first_bytes; /* see struct forced */
    bool has_lock, has_wake, has_ended;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;  /* of the thread */
    pthread_cond_t ended; /* a request or job has */
    struct request *inbox_first, *inbox_last;
    struct request *alive;
    size_t n_alive;
    struct job *jobs_first, *jobs_last;
    size_t n_jobs; /* one that runs included */
    uint64_t next_ticket;
    bool stop, draining, drop_cache;
    size_t step_alive; /* requests of the step at hand that nobody cancelled */
    int step_cancel;   /* for forward_run */
    struct sched_stats published;

    struct client *clients;             /* ring, where the next turn begins; NULL: none */
    struct client *turn[SCHED_CLASSES]; /* whose turn it is in each class; NULL: any */
    size_t n_running;                   /* lanes with a sequence */
    uint64_t admissions;
    const struct request *held; /* waits so long for pages that its class begins nothing else */
    uint64_t step;              /* counts from 1 */
    double last_prompt[SCHED_CLASSES]; /* when a class last had rows of a prompt, or none to have */
    struct lane **plan;                /* [max_rows]: lanes of this step */
    size_t n_plan;
    size_t plan_rows, plan_pages; /* so far */
    size_t plan_logits;           /* rows of prompts that give logits */
    struct lane **ready;          /* [max_lanes]: lanes that need one row */
    size_t n_ready;
    size_t max_lanes;         /* that can hold sequences at once */
    struct forward_row *rows; /* [max_rows] */
    float *logits;            /* [max_logits][n_vocab] */
    size_t max_logits;
    float *scratch, *fork_logits; /* [n_vocab] */
    struct pass_times times;      /* of steps that gave logits for all rows */
    double row_ms;                /* of a prompt's row */
    struct sched_stats stats;
};

static inline size_t pages_for(size_t n_tokens)
{
    return n_tokens / KERN_KV_PAGE + (n_tokens % KERN_KV_PAGE != 0);
}

/* ---- scheduler_request.c: what was asked --------------------------------------------------------
 */

/* Checks and copies; the caller's thread. */
enum status request_create(struct scheduler *s, const struct sched_request *req,
                           struct request **out, struct error *err);
void request_destroy(struct request *r);
/* Makes its lanes; without them on failure. */
enum status request_begin(struct scheduler *s, struct request *r, struct error *err);

/* ---- scheduler_pages.c: who holds which pages ---------------------------------------------------
 */

/* Tokens that are not in the lane's sequence yet. */
size_t lane_pending(const struct lane *l);
/* Whether a lane has a prompt (or what it lost) to read; else it is done, waits, or needs one row.
 */
bool lane_reads(const struct lane *l);
/* Gives a lane a sequence with what the cache has of its text. False: there is no room now. An
 * error is the request's end. */
bool lane_admit(struct scheduler *s, struct lane *l, enum status *st, struct error *err);
/* Appends pages that the cache has; returns how many tokens. */
size_t lane_adopt(struct scheduler *s, struct lane *l);
/* Puts the whole pages of its sequence into the cache. */
void lane_keep(struct scheduler *s, struct lane *l);
/* An admitted lane that is about to compute the lane's next page, or NULL. */
struct lane *lane_same_page(struct scheduler *s, struct lane *l);
/* Counts pages for n more rows of this step, taking them from the cache and from lanes that go
 * behind. */
bool lane_plan_pages(struct scheduler *s, struct lane *l, size_t n);
/* Takes a lane's pages; it will be computed again. */
void lane_preempt(struct scheduler *s, struct lane *l);
/* Gives its pages back for good. */
void lane_release(struct scheduler *s, struct lane *l);

/* ---- scheduler_keep.c: what outlives a scheduler
 * -------------------------------------------------
 */

/* The pool with the pages that the cache holds; nobody else has any. */
struct sched_pages {
    struct kv_pool *pool;
    struct prefix_cache *cache;
    size_t n_ctx;        /* of the pool */
    uint64_t page_bytes; /* of one page */
    char identity[64];   /* of the model file */
    char kv_type[16];
};

/* Whether they are what the scheduler, which has its options, would make. */
bool sched_pages_fit(const struct sched_pages *p, const struct scheduler *s);
/* Takes pool and cache from a scheduler whose thread has ended; NULL where nothing is kept. */
struct sched_pages *sched_pages_take(struct scheduler *s, uint64_t max_bytes);

/* ---- scheduler_plan.c: the rows of a step -------------------------------------------------------
 */

/* Fills s->plan and s->rows; false: there is nothing to compute. */
bool step_plan(struct scheduler *s);

/* ---- scheduler_step.c ---------------------------------------------------------------------------
 */

/* Computes what is planned and draws tokens from it. */
void step_run(struct scheduler *s);

/* ---- scheduler_text.c: what a lane has written --------------------------------------------------
 */

/* Sets a token's logprob and its n_top alternatives. */
void logprob_fill(const float *logits, size_t n_vocab, int32_t token, size_t n_top,
                  struct sched_token *t, struct sched_alternative *tops);
/* Appends a token, whose bytes begin the text's next ones, and gives what is certain by now. `t`
 * has its logprob. False: a stop text ended the lane, or the request has ended. */
bool lane_write(struct scheduler *s, struct lane *l, const struct sched_token *t);
/* Ends a lane's text, gives what was held back, and gives its pages back. */
void lane_finish(struct scheduler *s, struct lane *l, enum finish_reason why);
/* Tells of the request's end; what best_of held back is given before. */
void request_tell(struct scheduler *s, struct request *r);

/* ---- scheduler.c --------------------------------------------------------------------------------
 */

/* All its lanes end for this reason; it is told when the step is over. */
void request_stop(struct scheduler *s, struct request *r, enum finish_reason why);
/* The same for an error. */
void request_fail(struct scheduler *s, struct request *r, enum status st, const struct error *err);

/* ---- scheduler_stats.c --------------------------------------------------------------------------
 */

void stats_init(struct sched_stats *st);
void stats_add(struct sched_histogram *h, double value);
/* Makes the figures visible to scheduler_stats; `lock` is not held. */
void stats_publish(struct scheduler *s);

#endif
