/* The filter of system calls (seccomp(2)): what a Python that computes has no use for fails. New
 * processes above all, so that there is nothing to bomb with; and what has been the way through the
 * kernel's walls in the past. */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "eval/sandbox_int.h"

static const char *const denied[] = {
    "fork",
    "vfork",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "kcmp",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "fsconfig",
    "fspick",
    "mount_setattr",
    "unshare",
    "setns",
    "keyctl",
    "add_key",
    "request_key",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "open_by_handle_at",
    "name_to_handle_at",
    "personality",
    "quotactl",
    "swapon",
    "swapoff",
    "reboot",
    "acct",
    "settimeofday",
    "clock_settime",
    "adjtimex",
    "socket",
    "memfd_secret",
    "pidfd_open",
    "pidfd_getfd",
    "pidfd_send_signal",
    "vmsplice",
    "mknod",
    "mknodat",
    "iopl",
    "ioperm",
    "lookup_dcookie",
    "landlock_create_ruleset",
    "setrlimit",
    "sched_setscheduler",
    "sched_setattr",
};

static int deny(scmp_filter_ctx f, const char *name, int number)
{
    int nr = seccomp_syscall_resolve_name(name);
    /* One that this machine's processor or library has no number for cannot be called either. */
    return nr < 0 ? 0 : seccomp_rule_add(f, SCMP_ACT_ERRNO((uint32_t)number), nr, 0);
}

int sandbox_filter(struct error *err)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    int rc = f ? 0 : -ENOMEM, fd = -1;
    for (size_t i = 0; i < sizeof denied / sizeof denied[0] && rc == 0; i++)
        rc = deny(f, denied[i], EPERM);
    /* Threads are fine, processes are not. clone3 hides its flags from filters; the C library then
     * takes clone. */
    if (rc == 0) rc = deny(f, "clone3", ENOSYS);
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    if (rc == 0) fd = memfd_create("filter", MFD_CLOEXEC);
    if (rc == 0 && (fd < 0 || lseek(fd, 0, SEEK_SET) != 0)) rc = -errno;
    if (rc == 0) rc = seccomp_export_bpf(f, fd);
    if (rc == 0 && lseek(fd, 0, SEEK_SET) != 0) rc = -errno;
    if (f) seccomp_release(f);
    if (rc == 0) return fd;
    if (fd >= 0) close(fd);
    error_set(err, ERR_IO, "cannot make the sandbox's filter of system calls: %s", strerror(-rc));
    return -1;
}
