#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

double clock_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double clock_thread(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

/* Seconds between the machine's start and the process's; 0: not known. */
static double read_start(void)
{
    /* proc(5): field 22 of /proc/self/stat, counted after the last ')' since the name may hold
     * anything. */
    char text[1024];
    FILE *f = fopen("/proc/self/stat", "re");
    if (!f) return 0;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    char *p = strrchr(text, ')');
    if (!p) return 0;
    for (int field = 2; p && field < 22; field++) p = strchr(p + 1, ' ');
    if (!p) return 0;
    return strtod(p + 1, NULL) / (double)sysconf(_SC_CLK_TCK);
}

double clock_since_process_start(void)
{
    /* Kept: later the process may not be allowed to open anything (base/confine.h). */
    static _Atomic double start;
    if (start == 0) start = read_start();
    return start == 0 ? 0 : read_clock(CLOCK_BOOTTIME) - start;
}
