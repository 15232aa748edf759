#include "base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Numbers and layouts of linux/landlock.h, by hand: a system's header may be older than its kernel.
 * The system calls have these numbers on every architecture. */
enum {
    SYS_CREATE = 444,
    SYS_ADD = 445,
    SYS_RESTRICT = 446,
    ASK_VERSION = 1,  /* LANDLOCK_CREATE_RULESET_VERSION */
    PATH_BENEATH = 1, /* LANDLOCK_RULE_PATH_BENEATH */
    FIRST_WITH_MOVES = 2,
    FIRST_WITH_TRUNCATE = 3,
    FIRST_WITH_NET = 4,
    FIRST_WITH_IOCTL = 5,
    FIRST_WITH_SCOPES = 6,
};
#define FS_EXECUTE     (1ULL << 0)
#define FS_WRITE_FILE  (1ULL << 1)
#define FS_READ_FILE   (1ULL << 2)
#define FS_READ_DIR    (1ULL << 3)
#define FS_REMOVE_DIR  (1ULL << 4)
#define FS_REMOVE_FILE (1ULL << 5)
#define FS_MAKE_DIR    (1ULL << 7)
#define FS_MAKE_REG    (1ULL << 8)
#define FS_REFER       (1ULL << 13)
#define FS_TRUNCATE    (1ULL << 14)
#define FS_IOCTL_DEV   (1ULL << 15)
#define NET_CONNECT    (1ULL << 1)
#define SCOPE_ABSTRACT (1ULL << 0)
#define SCOPE_SIGNAL   (1ULL << 1)

struct ruleset_attr {
    uint64_t files, net, scoped;
};
struct beneath_attr {
    uint64_t access;
    int32_t fd;
} __attribute__((packed));

static int landlock_version(void)
{
    long v = syscall(SYS_CREATE, NULL, 0, ASK_VERSION);
    return v > 0 ? (int)v : 0;
}

static bool has_filters(void)
{
    unsigned action = SECCOMP_RET_ERRNO;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

struct confined confine_probe(void)
{
    int v = landlock_version();
    return (struct confined){.landlock = v,
                             .files = v > 0,
                             .connections = v >= FIRST_WITH_NET,
                             .signals = v >= FIRST_WITH_SCOPES,
                             .calls = has_filters()};
}

/* All rights over files that this version knows. */
static uint64_t file_rights(int version)
{
    uint64_t all = FS_REFER - 1;
    if (version >= FIRST_WITH_MOVES) all |= FS_REFER;
    if (version >= FIRST_WITH_TRUNCATE) all |= FS_TRUNCATE;
    if (version >= FIRST_WITH_IOCTL) all |= FS_IOCTL_DEV;
    return all;
}

enum status confine_begin(struct confine *c, bool connect, bool move, struct error *err)
{
    *c = (struct confine){.ruleset = -1, .version = landlock_version()};
    if (c->version == 0 || (move && c->version < FIRST_WITH_MOVES)) {
        c->version = 0;
        return OK;
    }
    c->files = file_rights(c->version);
    if (c->version >= FIRST_WITH_NET && !connect) c->net = NET_CONNECT;
    if (c->version >= FIRST_WITH_SCOPES) c->scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
    struct ruleset_attr attr = {c->files, c->net, c->scoped};
    /* An older kernel refuses a structure that is longer than its own, even if the rest is zero
     * only from some version on: each gets what it knows. */
    size_t size = c->version >= FIRST_WITH_SCOPES ? sizeof attr
                  : c->version >= FIRST_WITH_NET  ? 2 * sizeof(uint64_t)
                                                  : sizeof(uint64_t);
    c->ruleset = (int)syscall(SYS_CREATE, &attr, size, 0);
    if (c->ruleset >= 0) return OK;
    return error_set(err, ERR_IO, "cannot make Landlock's rules: %s", strerror(errno));
}

enum status confine_allow(struct confine *c, const char *path, enum confine_access access,
                          struct error *err)
{
    if (c->ruleset < 0 || !path || !*path) return OK;
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) return OK;
    uint64_t rights = FS_READ_FILE;
    bool ok = fstat(fd, &st) == 0;
    if (ok && S_ISDIR(st.st_mode)) rights |= FS_READ_DIR;
    if (access == CONFINE_WRITE) {
        rights |= FS_WRITE_FILE | FS_TRUNCATE;
        if (ok && S_ISDIR(st.st_mode))
            rights |= FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_REFER;
    }
    struct beneath_attr rule = {rights & c->files, fd};
    ok = ok && syscall(SYS_ADD, c->ruleset, PATH_BENEATH, &rule, 0) == 0;
    int number = errno;
    close(fd);
    if (ok) return OK;
    return error_set(err, ERR_IO, "cannot add %s to Landlock's rules: %s", path, strerror(number));
}

void confine_drop(struct confine *c)
{
    if (c->ruleset >= 0) close(c->ruleset);
    c->ruleset = -1;
}

enum status confine_enter(struct confine *c, struct confined *out, struct error *err)
{
    *out = (struct confined){0};
    if (c->ruleset < 0) return OK;
    /* Without it a program with more rights than ours could be started under our walls. */
    bool ok = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
              syscall(SYS_RESTRICT, c->ruleset, 0) == 0;
    int number = errno;
    confine_drop(c);
    if (!ok) return error_set(err, ERR_IO, "cannot put Landlock's rules in force: %s", strerror(number));
    *out = (struct confined){.landlock = c->version,
                             .files = true,
                             .connections = (c->net & NET_CONNECT) != 0,
                             .signals = (c->scoped & SCOPE_SIGNAL) != 0};
    return OK;
}

#ifndef __has_feature
#define __has_feature(x) 0
#endif

bool confine_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
    return true;
#else
    return false;
#endif
}
