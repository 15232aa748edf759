/* Walls around this process that it cannot take down again, for the time in which it reads what others
 * made: Landlock for files and connections (landlock(7)), a filter of system calls for the rest
 * (seccomp(2)). Both hold for every thread and whatever they start.
 *
 * Order: confine_begin, confine_allow for each path, confine_enter while the process has one thread
 * only, then confine_filter, at any time and as often as wanted: each call takes more away.
 *
 * Where the kernel lacks a part, that part is left out and `struct confined` tells so. */
#ifndef HEARTH_BASE_CONFINE_H
#define HEARTH_BASE_CONFINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* What holds, or, from confine_probe, what this kernel could make hold. */
struct confined {
    int landlock;     /* version of Landlock's interface; 0: there is none, or it is not in use */
    bool files;       /* files beyond the allowed ones cannot be opened */
    bool connections; /* TCP connections cannot be made (Landlock 4 and later) */
    bool signals;     /* nor signals sent to others (Landlock 6 and later) */
    bool calls;       /* the filter of system calls */
};

/* What the kernel offers; changes nothing. */
struct confined confine_probe(void);

enum confine_access {
    CONFINE_READ,  /* read files, list folders */
    CONFINE_WRITE, /* and create, write, move and delete files and folders */
};

/* Rules on the way to confine_enter. Not to be copied; one thread. */
struct confine {
    int ruleset; /* -1: no Landlock */
    int version;
    uint64_t files, net, scoped; /* what Landlock is to refuse unless allowed */
};

/* `connect`: TCP connections stay possible. `move`: files have to move between folders, which the
 * first version of Landlock cannot allow: it is left out there. Errors of the operating system
 * other than the lack of Landlock. confine_enter or confine_drop ends it. */
enum status confine_begin(struct confine *c, bool connect, bool move, struct error *err);
/* All below `path`, or that file alone. One that is not there is passed over. */
enum status confine_allow(struct confine *c, const char *path, enum confine_access access,
                          struct error *err);
/* From here on. `out` is set to what holds; its `calls` is confine_filter's. */
enum status confine_enter(struct confine *c, struct confined *out, struct error *err);
void confine_drop(struct confine *c);

/* What a filter refuses beyond the calls that it always refuses: new processes, tracing, mounts,
 * namespaces, kernel interfaces that nothing here uses, sockets of other kinds than IP and Unix,
 * typing into the terminal. */
enum {
    CONFINE_NO_EXEC = 1,   /* other programs, new machine code */
    CONFINE_NO_SOCKETS = 2, /* new sockets, connecting, listening; what is open goes on */
    CONFINE_NO_WRITES = 4, /* opening files for writing, all changes of folders, signals to others */
    CONFINE_NO_OPENS = 8,  /* opening anything */
};

/* Refused calls fail with EPERM. `*on`, may be NULL: false where this kernel has no filters. */
enum status confine_filter(unsigned refuse, bool *on, struct error *err);

/* True in builds whose sanitizer starts programs of its own, which the walls would stop. */
bool confine_sanitized(void);

#endif
