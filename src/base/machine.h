/* Facts about the machine this process may use, and short measurements of its limits. */
#ifndef HEARTH_BASE_MACHINE_H
#define HEARTH_BASE_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* Physical cores this process may run on: distinct (package, core) pairs among the CPUs of its
 * affinity mask, and no more than its control group's CPU quota, rounded down. At least 1. */
int machine_physical_cores(void);

/* The same with a folder in front of /sys and /proc ("" is the real system), for tests. Only the
 * CPUs numbered in `cpus` count. */
int machine_physical_cores_at(const char *root, const int *cpus, size_t n_cpus);

/* The processor's name as the kernel tells it, "unknown" without; returns dst. */
const char *machine_cpu_name(char *dst, size_t cap);

/* Resident memory of this process in bytes, pages of mapped files included; 0 where unknown. */
uint64_t machine_resident_bytes(void);

/* Memory that can be had without swapping, in bytes; 0 where unknown. */
uint64_t machine_available_bytes(void);

/* Bytes per second that n_threads threads together read from memory: the best of several passes
 * over a buffer of at least four times the last-level cache (512 MB or more, less where memory is
 * short), allocated for the call. 0 where the buffer or the threads cannot be had. About half a
 * second. */
double machine_read_bandwidth(int n_threads);

/* Operations (a multiplication and an addition are two) per second of n_threads threads in a loop
 * of nothing but this CPU's best int8 dot-product instruction, operands in registers. 0 where there
 * is no such loop for this CPU. About a third of a second. */
double machine_int8_ops_per_second(int n_threads);

#endif
