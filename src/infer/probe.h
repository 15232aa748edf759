/* Measuring what estimates are made of: the kernels in use, on this machine, now. */
#ifndef HEARTH_INFER_PROBE_H
#define HEARTH_INFER_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "infer/estimate.h"

struct probe;

/* Memory and threads for probing. n_threads 0 = all physical cores. The buffer that stands for
 * weights is of 512 MB or four times the last-level cache, with `quick` half of that, and less
 * where memory is short. One caller at a time. */
enum status probe_create(int n_threads, bool quick, struct probe **out, struct error *err);
void probe_destroy(struct probe *p); /* NULL is fine */

/* Measures everything in the machine for these tensor types; types without kernels are left out.
 * Each figure is the better tenth of several short rounds: a moment in which another program had
 * the processor does not count. About 130 ms a type, with `quick` 50. Nonzero *cancel (may be NULL)
 * gives ERR_CANCELLED after the type at hand. */
enum status probe_measure(struct probe *p, const uint32_t *types, size_t n_types,
                          const volatile int *cancel, struct estimate_machine *out,
                          struct error *err);

#endif
