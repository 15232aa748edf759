#ifndef HEARTH_BASE_CLOCK_H
#define HEARTH_BASE_CLOCK_H

/* Seconds on a clock that never goes back (CLOCK_MONOTONIC); the zero is arbitrary. */
double clock_now(void);

/* Seconds of processor time of the calling thread. */
double clock_thread(void);

/* Seconds since this process was started, exec and dynamic linking included; from the kernel's
 * start time where it is known (resolution 10 ms), else since the first call. */
double clock_since_process_start(void);

#endif
