/* What Ollama's endpoints share. */
#ifndef HEARTH_API_OLLAMA_H
#define HEARTH_API_OLLAMA_H

#include "api/job.h"
#include "store/store.h"

/* RFC 3339, UTC. */
void ollama_time(int64_t when, char dst[40]);
/* `keep_alive` in seconds; NAN where it is absent, negative: for ever. */
double ollama_keep_alive(struct reader *rd);

/* Work of minutes, on a thread of its own, told as a stream of lines where the client wants one. */
struct ollama_work {
    struct call *c;
    bool stream;
    bool told_any;
    char what[96]; /* "digest" of progress lines; "" = none */
    /* `s` is a store of its own: the shared one must not be locked for as long as this takes. Says "success" itself. */
    enum status (*run)(struct ollama_work *w, struct store *s, const struct store_events *ev, struct error *err);
    void (*destroy)(struct ollama_work *w);
};
/* Takes `w`, and answers. */
void ollama_start(struct ollama_work *w);
/* A line of the stream; steals. Nothing without a stream. */
void ollama_say(struct ollama_work *w, json_t *line);

/* The body of /api/blobs/DIGEST goes to a file. False: it has answered. Loop's thread. */
bool ollama_begin_upload(struct call *c);

#endif
