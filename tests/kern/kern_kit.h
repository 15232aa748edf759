/* What the kernels' own check programs have in common. */
#ifndef HEARTH_TESTS_KERN_KIT_H
#define HEARTH_TESTS_KERN_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kern/kern.h"

/* The same numbers in every run. */
uint32_t rng(void);
float rng_float(void); /* -1 .. 1 */

/* 64-byte aligned, with room behind; ends the program where there is none. */
void *alloc(size_t n);

extern int failures, checks;
extern const struct kern_ops *kern_scalar; /* the reference, set by the program */

/* Counts a check and prints the first failures; `of` tells what a and b are of. */
void expect(bool ok, const char *what, const char *table, const char *of, size_t a, size_t b);

/* All but sse2, which rounds multiply-adds twice. */
bool exact(const struct kern_ops *ops);

#endif
