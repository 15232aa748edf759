/* Figures of the server for Prometheus: requests by route and status; the schedulers' own figures
 * are read when asked. Any thread. */
#ifndef HEARTH_API_METRICS_H
#define HEARTH_API_METRICS_H

#include <pthread.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

struct served;

enum { METRICS_ROUTES = 128, METRICS_CODES = 24, METRICS_BUCKETS = 14 };

struct metrics {
    pthread_mutex_t lock;
    struct {
        const char *route; /* static */
        int codes[METRICS_CODES];
        uint64_t counts[METRICS_CODES];
    } routes[METRICS_ROUTES];
    uint64_t seconds[METRICS_BUCKETS + 1];
    double seconds_sum;
    uint64_t seconds_n;
};

void metrics_init(struct metrics *m);
void metrics_fini(struct metrics *m);
void metrics_count(struct metrics *m, const char *route, int code, double seconds);
/* The text format, version 0.0.4. */
enum status metrics_write(struct metrics *m, struct served *p, size_t active, struct buf *out);

#endif
