/* What the files of peers share. */
#ifndef HEARTH_EVAL_PEER_INT_H
#define HEARTH_EVAL_PEER_INT_H

#include "eval/peer.h"

/* A child that answers lines of JSON with lines of JSON. */
struct peer_pipe;
enum status peer_pipe_start(char *const *command, struct peer_pipe **out, struct error *err);
void peer_pipe_stop(struct peer_pipe *p); /* NULL is fine */
enum status peer_pipe_ask(struct peer_pipe *p, const struct peer_options *o,
                          const struct peer_question *q, struct peer_answer *a, struct error *err);

#endif
