#include "eval/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "eval/sandbox_int.h"

/* The scripts, compiled in. */
extern const unsigned char sandbox_run_py[], sandbox_check_py[];

enum { MAX_ARGS = 80, FD_FILTER = 6, N_FDS = 4, LINK_SIZE = 256 };

struct sandbox {
    struct sandbox_options o;
    char links[4][LINK_SIZE]; /* where /lib, /lib64, /bin, /sbin point; "" = folders */
};

static const char *const roots[4] = {"/lib", "/lib64", "/bin", "/sbin"};

/* One process in its sandbox: the descriptors that it gets as 3, 4, 5 and FD_FILTER; -1 = none. */
struct job {
    const char *script, *arg;
    int fds[N_FDS];
};

static void close_fd(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* bubblewrap's command line. Everything is a constant or lives in the sandbox or the job. */
static void compose(const struct sandbox *s, const struct job *j, const char **argv)
{
    static const char *const fixed[] = {
        "bwrap",
        "--unshare-user",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--disable-userns",
        "--uid",
        "65534",
        "--gid",
        "65534",
        "--hostname",
        "sandbox",
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
        "--clearenv",
        "--setenv",
        "PYTHONHASHSEED",
        "0",
        "--ro-bind",
        "/usr",
        "/usr",
        "--ro-bind-try",
        "/etc/ld.so.cache",
        "/etc/ld.so.cache",
    };
    size_t n = 0;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) argv[n++] = fixed[i];
    for (size_t i = 0; i < 4; i++) {
        argv[n++] = s->links[i][0] ? "--symlink" : "--ro-bind-try";
        argv[n++] = s->links[i][0] ? s->links[i] : roots[i];
        argv[n++] = roots[i];
    }
    static const char *const last[] = {"--dev",        "/dev", "--size",    "16777216",
                                       "--tmpfs",      "/tmp", "--chdir",   "/tmp",
                                       "--remount-ro", "/",    "--seccomp", "6"};
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++) argv[n++] = last[i];
    static const char *const python[] = {"-I", "-S", "-B", "-X", "utf8", "-c"};
    argv[n++] = s->o.python;
    for (size_t i = 0; i < sizeof python / sizeof python[0]; i++) argv[n++] = python[i];
    argv[n++] = j->script;
    argv[n++] = j->arg;
    argv[n] = NULL;
}

static void limit(int what, rlim_t most)
{
    struct rlimit r = {most, most};
    if (setrlimit(what, &r) != 0) _exit(126);
}

/* After fork: only calls that are safe there. */
static void be_child(const struct sandbox *s, const struct job *j, const char *const *argv,
                     pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(126);
    int null_fd = open("/dev/null", O_RDWR);
    /* First out of the way of the numbers they get. */
    int high[N_FDS];
    for (int i = 0; i < N_FDS; i++) high[i] = j->fds[i] < 0 ? -1 : fcntl(j->fds[i], F_DUPFD, 20);
    for (int i = 0; i < 3; i++)
        if (dup2(null_fd, i) < 0) _exit(126);
    for (int i = 0; i < N_FDS; i++)
        if (high[i] >= 0 && dup2(high[i], 3 + i) < 0) _exit(126);
    for (int i = 0; i < N_FDS; i++)
        if (high[i] < 0) close(3 + i);
    close_range(3 + N_FDS, ~0U, 0);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, s->o.cpu_seconds);
    limit(RLIMIT_AS, s->o.memory_bytes);
    limit(RLIMIT_FSIZE, 16 << 20);
    limit(RLIMIT_NOFILE, 64);
    limit(RLIMIT_STACK, 64 << 20);
    execvp("bwrap", (char *const *)argv);
    _exit(127);
}

static pid_t start(const struct sandbox *s, const struct job *j)
{
    const char *argv[MAX_ARGS];
    compose(s, j, argv);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) be_child(s, j, argv, parent);
    return pid;
}

/* bubblewrap dies, and with it everything in its namespaces. */
static int finish(pid_t pid, bool stop)
{
    int status = 0;
    if (pid <= 0) return 0;
    if (stop) kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

/* A descriptor to read `text` from. */
static int text_fd(const char *text)
{
    int fd = memfd_create("text", MFD_CLOEXEC);
    size_t len = strlen(text);
    while (fd >= 0 && len) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) close_fd(&fd);
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    if (fd >= 0 && lseek(fd, 0, SEEK_SET) != 0) close_fd(&fd);
    return fd;
}

/* Reads the verdict; the checker alone holds the other end. */
static enum sandbox_verdict await(const struct sandbox *s, int fd)
{
    char word[8] = "";
    size_t len = 0;
    double until = clock_now() + s->o.seconds;
    while (len < 4) {
        double left = until - clock_now();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left <= 0) return SANDBOX_TIMED_OUT;
        if (poll(&p, 1, (int)(left * 1e3) + 1) <= 0) continue;
        ssize_t n = read(fd, word + len, 4 - len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        len += (size_t)n;
    }
    return strcmp(word, "pass") == 0 ? SANDBOX_PASSED : SANDBOX_FAILED;
}

enum status sandbox_judge(const struct sandbox *s, const char *program, const char *entry,
                          const char *reference, const char *test, enum sandbox_verdict *out,
                          struct error *err)
{
    int talk[2] = {-1, -1}, word[2] = {-1, -1};
    struct job run = {(const char *)sandbox_run_py, entry, {-1, -1, -1, -1}};
    struct job check = {(const char *)sandbox_check_py, entry, {-1, -1, -1, -1}};
    pid_t runner = -1, checker = -1;
    enum status st = OK;
    *out = SANDBOX_FAILED;
    json_t *task = json_pack("{s:s, s:s}", "program", reference, "test", test);
    char *text = task ? json_dumps(task, JSON_COMPACT) : NULL;
    json_decref(task);
    if (!text) return error_set(err, ERR_FORMAT, "the problem is not UTF-8");
    run.fds[1] = text_fd(program);
    check.fds[1] = text_fd(text);
    free(text);
    bool ready = run.fds[1] >= 0 && check.fds[1] >= 0 &&
                 socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk) == 0 &&
                 pipe2(word, O_CLOEXEC) == 0;
    if (!ready) st = error_set(err, ERR_IO, "cannot start a sandbox: %s", strerror(errno));
    if (st == OK &&
        ((run.fds[3] = sandbox_filter(err)) < 0 || (check.fds[3] = sandbox_filter(err)) < 0))
        st = ERR_IO;
    run.fds[0] = talk[0];
    check.fds[0] = talk[1];
    check.fds[2] = word[1];
    if (st == OK && ((runner = start(s, &run)) < 0 || (checker = start(s, &check)) < 0))
        st = error_set(err, ERR_IO, "cannot start a sandbox: %s", strerror(errno));
    for (int i = 0; i < N_FDS; i++) {
        close_fd(&run.fds[i]);
        close_fd(&check.fds[i]);
    }
    if (st == OK) *out = await(s, word[0]);
    finish(runner, true);
    int status = finish(checker, true);
    if (st == OK && *out == SANDBOX_FAILED && WIFEXITED(status) && WEXITSTATUS(status) == 127)
        st = error_set(err, ERR_UNSUPPORTED, "bwrap is gone; install bubblewrap");
    close_fd(&word[0]);
    return st;
}

/* What a person has to do where it does not run. */
static enum status explain(const struct sandbox *s, struct error *err)
{
    const char *path = getenv("PATH");
    char copy[4096], *save = NULL;
    snprintf(copy, sizeof copy, "%s", path ? path : "/usr/bin:/bin");
    bool found = false;
    for (char *dir = strtok_r(copy, ":", &save); dir && !found; dir = strtok_r(NULL, ":", &save)) {
        char file[4200];
        snprintf(file, sizeof file, "%s/bwrap", dir);
        found = access(file, X_OK) == 0;
    }
    if (!found)
        return error_set(err, ERR_UNSUPPORTED,
                         "the programs that a model writes run only in a sandbox, which needs "
                         "bubblewrap: install it (apt-get install bubblewrap)");
    if (access(s->o.python, X_OK) != 0)
        return error_set(err, ERR_UNSUPPORTED, "%s is not there; install python3", s->o.python);
    return error_set(
        err, ERR_UNSUPPORTED,
        "bubblewrap is installed but cannot make a sandbox here: user namespaces may be "
        "forbidden (sysctl kernel.unprivileged_userns_clone or "
        "kernel.apparmor_restrict_unprivileged_userns, or a container without the right "
        "to them); 'bwrap --unshare-all --ro-bind / / true' says more");
}

enum status sandbox_open(const struct sandbox_options *o, struct sandbox **out, struct error *err)
{
    struct sandbox *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) return error_set(err, ERR_NOMEM, "out of memory");
    s->o = *o;
    if (!s->o.python) s->o.python = "/usr/bin/python3";
    if (s->o.seconds <= 0) s->o.seconds = 60;
    if (!s->o.cpu_seconds) s->o.cpu_seconds = 6;
    if (!s->o.memory_bytes) s->o.memory_bytes = (size_t)1 << 30;
    for (size_t i = 0; i < 4; i++) {
        ssize_t n = readlink(roots[i], s->links[i], LINK_SIZE - 1);
        s->links[i][n > 0 ? n : 0] = 0;
    }
    enum sandbox_verdict v = SANDBOX_FAILED, other = SANDBOX_FAILED;
    static const char test[] = "def check(f):\n    assert f(1) == 2\n";
    enum status st =
        strncmp(s->o.python, "/usr/", 5) == 0
            ? OK
            : error_set(err, ERR_INVALID, "Python must lie under /usr, %s does not", s->o.python);
    if (st == OK) st = sandbox_judge(s, "def f(x):\n    return x + 1\n", "f", "", test, &v, err);
    /* It must be able to say no, too. */
    if (st == OK) st = sandbox_judge(s, "def f(x):\n    return x\n", "f", "", test, &other, err);
    if ((st == OK || st == ERR_UNSUPPORTED) && (v != SANDBOX_PASSED || other == SANDBOX_PASSED))
        st = explain(s, err);
    if (st == OK)
        *out = s;
    else
        free(s);
    return st;
}

void sandbox_close(struct sandbox *s)
{
    free(s);
}
