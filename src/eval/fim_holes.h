/* Holes of the fill-in-the-middle benchmark. */
#ifndef HEARTH_EVAL_FIM_HOLES_H
#define HEARTH_EVAL_FIM_HOLES_H

#include "eval/holes.h"

/* Random spans of each problem, as the paper has them. */
enum { FIM_SPANS_PER_PROBLEM = 10 };

extern const char *const fim_kinds[];      /* "single-line", "multi-line", "random-span" */
extern const char *const fim_repo_kinds[]; /* "line", "column1", "rest", "word", ... */

/* All holes of the wanted kinds in a set's problems (Bavarian et al. 2022, "Efficient Training of
 * Language Models to Fill in the Middle", section 3.1 and appendix):
 *   single-line  every line of the solution that is not blank
 *   multi-line   every run of lines that begins and ends with one that is not blank
 *   random-span  spans of random characters of the solution, FIM_SPANS_PER_PROBLEM of each
 * A hole of lines leaves the line end behind its last line in place, as an editor's cursor on an
 * empty line does. */
enum status fim_holes_of_problems(const char *kinds, uint64_t seed, struct eval_set *set,
                                  struct error *err);

/* `per_kind` random holes of each wanted kind in the source files under `path`, with at most 60
 * lines before and 30 after:
 *   line     a whole line after its indentation; the cursor stands where the code began
 *   column1  a whole line with its indentation
 *   rest     the rest of a line from a random word on
 *   word     the rest of a line from inside a word on
 *   mid      a span inside a line, with at least two characters left after it
 *   block    two to six whole lines: the body of the block that the line before them opens
 *   lines    two to four whole lines of equal indentation in the middle of a block */
enum status fim_holes_of_folder(const char *path, const char *kinds, size_t per_kind, uint64_t seed,
                                struct eval_set *set, struct error *err);

#endif
