/* Preloaded into hearth (LD_PRELOAD) by test_confined.py: at SIGUSR2 it does from inside what code that
 * a hostile model file had brought to run would try, on whichever thread takes the signal, and writes "name errno" for each
 * to the file that INJECT_REPORT names, which it opened at the start. errno 0: it worked.
 *
 * INJECT_TRY lists paths, one each after "read ", "write " or "connect " (a port), separated by ';'. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int report = -1;
static char tries[8192];

static void say(const char *what, const char *name, long rc)
{
    char line[4352];
    int number = rc < 0 ? errno : 0;
    int n = snprintf(line, sizeof line, "%s%s%s %d\n", what, *name ? " " : "", name, number);
    if (write(report, line, (size_t)n) != n) _exit(99);
}

static long try_open(const char *path, int flags)
{
    int fd = open(path, flags, 0600);
    if (fd >= 0) close(fd);
    return fd;
}

static long try_connect(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return fd;
    long rc = connect(fd, (struct sockaddr *)&a, sizeof a);
    int number = errno;
    close(fd);
    errno = number;
    return rc;
}

static long try_bind(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? fd : bind(fd, (struct sockaddr *)&a, sizeof a) ?: listen(fd, 1);
}

static long try_fork(void)
{
    long pid = fork();
    if (pid == 0) _exit(0);
    if (pid > 0) waitpid((pid_t)pid, NULL, 0);
    return pid;
}

static long try_map(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? -1 : 0;
}

/* Not raised where it is refused for another reason than walls: the program is not there. */
static long try_exec(void)
{
    char *const argv[] = {(char *)"none", NULL};
    long rc = execv("/nonexistent/program", argv);
    return errno == ENOENT ? 0 : rc;
}

static void try_named(void)
{
    char *save, copy[sizeof tries];
    memcpy(copy, tries, sizeof copy);
    for (char *p = strtok_r(copy, ";", &save); p; p = strtok_r(NULL, ";", &save)) {
        if (strncmp(p, "read ", 5) == 0) say("read", p + 5, try_open(p + 5, O_RDONLY));
        if (strncmp(p, "write ", 6) == 0) say("write", p + 6, try_open(p + 6, O_WRONLY | O_CREAT));
        if (strncmp(p, "connect ", 8) == 0) say("connect", "", try_connect(atoi(p + 8)));
    }
}

static void on_signal(int sig)
{
    char byte, tib = 'x';
    struct iovec there = {(void *)on_signal, 1}, here = {&byte, 1};
    (void)sig;
    int saved = errno;
    try_named();
    say("exec", "", try_exec());
    say("fork", "", try_fork());
    say("code", "", try_map());
    say("netlink", "", socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
    say("unix", "", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    say("bind", "", try_bind());
    say("trace", "", ptrace(PTRACE_ATTACH, 0x7fffffff, NULL, NULL) < 0 && errno == ESRCH ? 0 : -1);
    say("memory", "", process_vm_readv(getppid(), &here, 1, &there, 1, 0) < 0 && errno == EFAULT ? 0 : -1);
    say("signal", "", kill(getppid(), 0));
    say("mount", "", mount("none", "/proc", "tmpfs", 0, "size=not-a-number") < 0 && errno == EINVAL ? 0 : -1);
    say("namespace", "", unshare(CLONE_NEWUTS));
    say("uring", "", syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == EFAULT ? 0 : -1);
    say("type", "", ioctl(report, TIOCSTI, &tib) < 0 && errno == ENOTTY ? 0 : -1);
    say("end", "", 0);
    errno = saved;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("INJECT_REPORT"), *what = getenv("INJECT_TRY");
    if (!path) return;
    report = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (what) snprintf(tries, sizeof tries, "%s", what);
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR2, &sa, NULL);
}
