/* Facts about the machine this process may use, and short measurements of its limits. */
#ifndef HEARTH_BASE_MACHINE_H
#define HEARTH_BASE_MACHINE_H

#include <stdbool.h>
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

/* Bytes of the last-level cache that the first processor uses, as the kernel tells, else as the C
 * library does; 0 where unknown. */
uint64_t machine_cache_bytes(void);

/* Resident memory of this process in bytes, pages of mapped files included; 0 where unknown. */
uint64_t machine_resident_bytes(void);

/* Memory that can be had without swapping, in bytes; 0 where unknown. */
uint64_t machine_available_bytes(void);

/* What limits a process beside its processor; 0 or -1 as told where the system does not say. */
struct machine_limits {
    uint64_t total_bytes;     /* of memory that programs can use; 0: unknown */
    uint64_t available_bytes; /* without swapping; 0: unknown */
    uint64_t limit_bytes;     /* of the control group, the smallest of it and those above; 0: none */
    uint64_t group_bytes;     /* that the group with this limit has in use, file pages left out */
    uint64_t swap_bytes, swap_free_bytes;
    double quota_cpus;        /* of the control group; 0: none */
    bool container;           /* the process seems to run in one */
    char huge_pages[16];      /* "always", "madvise", "never"; "" unknown */
};
void machine_limits_read(struct machine_limits *out);
/* The same with a folder in front of /sys, /proc and /run, for tests. */
void machine_limits_read_at(const char *root, struct machine_limits *out);
/* Memory that this process can still get: what is available, and no more than its group's limit
 * leaves; 0 where unknown. */
uint64_t machine_limits_usable(const struct machine_limits *l);

/* A graphics processor, as its driver tells. */
struct machine_gpu {
    char name[96];
    uint64_t memory_bytes; /* 0: unknown */
};
/* NVIDIA devices, up to max; returns how many. Asks libcuda where it is installed, else reads what
 * the driver tells in /proc. A second or so where the driver has to wake up a device. */
size_t machine_gpus(struct machine_gpu *out, size_t max);
/* Those that the driver lists under ROOT/proc, without their memory. */
size_t machine_gpus_listed_at(const char *root, struct machine_gpu *out, size_t max);

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
