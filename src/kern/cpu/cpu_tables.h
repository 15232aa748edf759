/* The tables of the CPU backend, one file each. */
#ifndef HEARTH_KERN_CPU_CPU_TABLES_H
#define HEARTH_KERN_CPU_CPU_TABLES_H

#include "kern/kern.h"

extern const struct kern_ops kern_ops_scalar;
extern const struct kern_ops kern_ops_sse2;
extern const struct kern_ops kern_ops_avx2;
extern const struct kern_ops kern_ops_avxvnni;
extern const struct kern_ops kern_ops_avx512;

/* True where this CPU and its operating system can run a table. */
bool cpu_always(void);
bool cpu_has_avx2(void);
bool cpu_has_avxvnni(void);
bool cpu_has_avx512(void);

#endif
