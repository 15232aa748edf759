/* Running code that nobody has read: bubblewrap with its own namespaces, no network, a read-only
 * view of /usr and nothing else of this machine, limits, and a filter of system calls.
 *
 * What it defends: this machine (files, network, processes, memory, time) from the program under
 * test, and the verdict from it. The verdict comes from a second process in a sandbox of its own,
 * over a descriptor that the program does not have; between the two go only calls and plain values.
 * What it does not: a fault of the kernel, and a program that knows the right answers. */
#ifndef HEARTH_EVAL_SANDBOX_H
#define HEARTH_EVAL_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct sandbox_options {
    const char *python;   /* NULL: /usr/bin/python3; must lie under /usr */
    double seconds;       /* of the clock, for one verdict; 0: 60 */
    unsigned cpu_seconds; /* of one process; 0: 6 */
    size_t memory_bytes;  /* address space of one process; 0: 1 GiB */
};

enum sandbox_verdict {
    SANDBOX_FAILED, /* a test failed, the program broke, or gave no answer */
    SANDBOX_PASSED,
    SANDBOX_TIMED_OUT,
};

struct sandbox;

/* ERR_UNSUPPORTED where bubblewrap is not installed or may not make namespaces, with what to do
 * about it; there is no way to run without. */
enum status sandbox_open(const struct sandbox_options *o, struct sandbox **out, struct error *err);
void sandbox_close(struct sandbox *s); /* NULL is fine */

/* Runs `test` (Python that defines check(candidate)) against the function `entry` of `program`;
 * `reference` is a program with the same helpers that can be trusted: what the tests call besides
 * the function comes from there. Texts are NUL-terminated UTF-8. May be called from several
 * threads. */
enum status sandbox_judge(const struct sandbox *s, const char *program, const char *entry,
                          const char *reference, const char *test, enum sandbox_verdict *out,
                          struct error *err);

#endif
