/* The filters of system calls. They are lists of what is refused, not of what is allowed: the
 * calls that a C library makes for memory, threads and clocks differ from version to version, and
 * an assistant that dies after an update protects nobody. Landlock is the list of what is allowed. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/confine.h"

/* Nothing in Hearth uses these; several have been the way through the kernel's walls in the past. */
static const char *const always[] = {
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp",
    "mount", "umount2", "umount", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsmount",
    "fsconfig", "fspick", "mount_setattr", "unshare", "setns", "keyctl", "add_key", "request_key",
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter",
    "io_uring_register", "kexec_load", "kexec_file_load", "init_module", "finit_module",
    "delete_module", "open_by_handle_at", "name_to_handle_at", "personality", "quotactl",
    "quotactl_fd", "swapon", "swapoff", "reboot", "acct", "settimeofday", "clock_settime",
    "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "memfd_secret", "pidfd_open",
    "pidfd_getfd", "pidfd_send_signal", "vmsplice", "mknod", "mknodat", "iopl", "ioperm",
    "modify_ldt", "lookup_dcookie", "vhangup", "syslog", "fanotify_init", "nfsservctl", "uselib",
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid",
    "setgroups", "capset",
};
static const char *const processes[] = {"fork", "vfork", "setpgid", "setsid"};
static const char *const programs[] = {"execve", "execveat"};
static const char *const sockets[] = {"socket", "socketpair", "connect", "bind", "listen"};
static const char *const writes[] = {
    "creat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir",
    "link", "linkat", "symlink", "symlinkat", "truncate", "chmod", "fchmod", "fchmodat",
    "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime", "utimes", "utimensat",
    "futimesat", "setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr",
    "fremovexattr", "removexattrat", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
};
static const char *const opens[] = {"open", "openat", "creat"};

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* One that this machine's processor or library has no number for cannot be called either. */
static int refuse(scmp_filter_ctx f, const char *name, int number)
{
    int nr = seccomp_syscall_resolve_name(name);
    return nr < 0 ? 0 : seccomp_rule_add(f, SCMP_ACT_ERRNO((uint32_t)number), nr, 0);
}

static int refuse_all(scmp_filter_ctx f, const char *const *names, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) rc = refuse(f, names[i], EPERM);
    return rc;
}

/* Where the bits of `mask` in that argument are `value`. */
static int refuse_bits(scmp_filter_ctx f, int nr, unsigned arg, uint64_t mask, uint64_t value)
{
    struct scmp_arg_cmp cmp = {arg, SCMP_CMP_MASKED_EQ, mask, value};
    return nr < 0 ? 0 : seccomp_rule_add_array(f, SCMP_ACT_ERRNO(EPERM), nr, 1, &cmp);
}

/* Threads are fine, processes and namespaces are not. clone3 hides its flags from filters; the C
 * library then takes clone. */
static int refuse_processes(scmp_filter_ctx f)
{
    static const uint64_t spaces[] = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                      CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};
    int rc = refuse_all(f, processes, COUNT(processes));
    if (rc == 0) rc = refuse(f, "clone3", ENOSYS);
    if (rc == 0) rc = refuse_bits(f, SCMP_SYS(clone), 0, CLONE_THREAD, 0);
    for (size_t i = 0; i < COUNT(spaces) && rc == 0; i++)
        rc = refuse_bits(f, SCMP_SYS(clone), 0, spaces[i], spaces[i]);
    return rc;
}

/* A terminal takes what TIOCSTI and TIOCLINUX put into it for typed, and its shell runs it. */
static int refuse_typing(scmp_filter_ctx f)
{
    int rc = refuse_bits(f, SCMP_SYS(ioctl), 1, 0xffffffff, TIOCSTI);
    return rc ? rc : refuse_bits(f, SCMP_SYS(ioctl), 1, 0xffffffff, TIOCLINUX);
}

/* What is neither Unix's (1) nor IP's (2, 10), and sockets that write their own headers. */
static int refuse_odd_sockets(scmp_filter_ctx f)
{
    uint32_t no = SCMP_ACT_ERRNO(EPERM);
    struct scmp_arg_cmp high = SCMP_A0_32(SCMP_CMP_GT, AF_INET6);
    int nr = SCMP_SYS(socket), rc = seccomp_rule_add_array(f, no, nr, 1, &high);
    for (uint32_t family = 0; family < AF_INET6 && rc == 0; family++) {
        struct scmp_arg_cmp same = SCMP_A0_32(SCMP_CMP_EQ, family);
        if (family != AF_UNIX && family != AF_INET) rc = seccomp_rule_add_array(f, no, nr, 1, &same);
    }
    return rc ? rc : refuse_bits(f, nr, 1, 0xf, SOCK_RAW);
}

static int refuse_code(scmp_filter_ctx f)
{
    int rc = refuse_all(f, programs, COUNT(programs));
    if (rc == 0) rc = refuse_bits(f, SCMP_SYS(mmap), 2, PROT_EXEC, PROT_EXEC);
    if (rc == 0) rc = refuse_bits(f, SCMP_SYS(mprotect), 2, PROT_EXEC, PROT_EXEC);
    return rc ? rc : refuse_bits(f, SCMP_SYS(pkey_mprotect), 2, PROT_EXEC, PROT_EXEC);
}

static int refuse_opens_to_write(scmp_filter_ctx f)
{
    static const struct {
        uint64_t mask, value;
    } how[] = {{O_ACCMODE, O_WRONLY}, {O_ACCMODE, O_RDWR}, {O_ACCMODE, O_ACCMODE},
               {O_CREAT, O_CREAT},    {O_TRUNC, O_TRUNC}};
    int rc = refuse(f, "openat2", ENOSYS); /* its flags lie in memory */
    for (size_t i = 0; i < COUNT(how) && rc == 0; i++) {
        rc = refuse_bits(f, SCMP_SYS(open), 1, how[i].mask, how[i].value);
        if (rc == 0) rc = refuse_bits(f, SCMP_SYS(openat), 2, how[i].mask, how[i].value);
    }
    return rc;
}

static int refuse_writes(scmp_filter_ctx f, bool opens_too)
{
    struct scmp_arg_cmp other = SCMP_A0_32(SCMP_CMP_NE, (uint32_t)getpid());
    int rc = refuse_all(f, writes, COUNT(writes));
    if (rc == 0) rc = seccomp_rule_add_array(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(kill), 1, &other);
    if (rc == 0) rc = seccomp_rule_add_array(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1, &other);
    if (rc == 0 && !opens_too) rc = refuse_opens_to_write(f);
    return rc;
}

static int fill(scmp_filter_ctx f, unsigned what)
{
    bool opens_too = (what & CONFINE_NO_OPENS) != 0;
    int rc = refuse_all(f, always, COUNT(always));
    if (rc == 0) rc = refuse_typing(f);
    if (rc == 0 && (what & CONFINE_NO_EXEC)) rc = refuse_processes(f);
    if (rc == 0 && (what & CONFINE_NO_EXEC)) rc = refuse_code(f);
    if (rc == 0)
        rc = what & CONFINE_NO_SOCKETS ? refuse_all(f, sockets, COUNT(sockets)) : refuse_odd_sockets(f);
    if (rc == 0 && (what & (CONFINE_NO_WRITES | CONFINE_NO_OPENS))) rc = refuse_writes(f, opens_too);
    if (rc == 0 && opens_too) rc = refuse(f, "openat2", EPERM);
    return rc == 0 && opens_too ? refuse_all(f, opens, COUNT(opens)) : rc;
}

enum status confine_filter(unsigned what, bool *on, struct error *err)
{
    bool there = confine_probe().calls;
    if (on) *on = there;
    if (!there) return OK;
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    int rc = f ? 0 : -ENOMEM;
    if (rc == 0) rc = fill(f, what);
    /* All threads at once, those of a model included. */
    if (rc == 0) rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0) rc = seccomp_load(f);
    if (f) seccomp_release(f);
    if (rc == 0) return OK;
    if (on) *on = false;
    return error_set(err, ERR_IO, "cannot put the filter of system calls in force: %s", strerror(-rc));
}
