#include "store/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { TICK_MS = 200, STOP_TICKS = 25 };

/* The environment with `extra` in front of (and instead of) what it had; the array is malloc'd, the
 * strings borrowed. Built before fork: afterwards malloc is out of bounds. */
static char **merge_environment(char *const extra[])
{
    size_t n = 0, e = 0, k = 0;
    while (environ && environ[n]) n++;
    while (extra && extra[e]) e++;
    char **env = malloc((n + e + 1) * sizeof *env);
    if (!env) return NULL;
    for (size_t i = 0; i < e; i++) env[k++] = extra[i];
    for (size_t i = 0; i < n; i++) {
        bool replaced = false;
        size_t len = strcspn(environ[i], "=");
        for (size_t j = 0; j < e; j++)
            if (strncmp(extra[j], environ[i], len) == 0 && extra[j][len] == '=') replaced = true;
        if (!replaced) env[k++] = environ[i];
    }
    env[k] = NULL;
    return env;
}

/* In the child: only calls that are safe between fork and exec. */
static void child(char *const argv[], char **env, int null_fd, int err_fd, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(126); /* it died before the line above */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    if (dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 || dup2(err_fd, 2) < 0) _exit(126);
    execvpe(argv[0], argv, env);
    _exit(errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 127 : 126);
}

/* Keeps the last PROCESS_TAIL - 1 bytes; false at the end of the stream. */
static bool read_tail(int fd, struct process_result *out, size_t *len)
{
    char chunk[1024];
    ssize_t n = read(fd, chunk, sizeof chunk);
    if (n < 0) return errno == EINTR || errno == EAGAIN;
    if (n == 0) return false;
    size_t add = (size_t)n, room = PROCESS_TAIL - 1;
    if (*len + add > room) {
        size_t drop = *len + add - room;
        memmove(out->tail, out->tail + drop, *len - drop);
        *len -= drop;
    }
    memcpy(out->tail + *len, chunk, add);
    *len += add;
    out->tail[*len] = 0;
    return true;
}

static int decode(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Politely, then not. */
static void stop(pid_t pid)
{
    kill(pid, SIGTERM);
    for (int i = 0; i < STOP_TICKS; i++) {
        if (waitpid(pid, NULL, WNOHANG) != 0) return;
        nanosleep(&(struct timespec){.tv_nsec = TICK_MS * 1000000L}, NULL);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static enum status supervise(pid_t pid, int fd, bool (*tick)(void *ctx), void *ctx,
                             struct process_result *out, struct error *err)
{
    size_t len = 0;
    bool open_end = true;
    for (;;) {
        struct pollfd p = {.fd = open_end ? fd : -1, .events = POLLIN};
        if (poll(&p, 1, TICK_MS) > 0 && open_end) open_end = read_tail(fd, out, &len);
        int status;
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid) {
            while (open_end && poll(&p, 1, 0) > 0) open_end = read_tail(fd, out, &len);
            out->exit_code = decode(status);
            return OK;
        }
        if (got < 0 && errno != EINTR)
            return error_set(err, ERR_IO, "cannot wait for a program: %s", strerror(errno));
        if (tick && !tick(ctx)) {
            stop(pid);
            return error_set(err, ERR_CANCELLED, "interrupted");
        }
    }
}

enum status process_run(char *const argv[], char *const env[], bool (*tick)(void *ctx), void *ctx,
                        struct process_result *out, struct error *err)
{
    *out = (struct process_result){.exit_code = 127};
    enum status st = OK;
    int ends[2] = {-1, -1};
    char **merged = merge_environment(env);
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (!merged || null_fd < 0 || pipe2(ends, O_CLOEXEC) != 0) {
        st = error_set(err, merged ? ERR_IO : ERR_NOMEM, "cannot start %s: %s", argv[0],
                       strerror(errno));
        goto out;
    }
    pid_t parent = getpid(), pid = fork();
    if (pid < 0) {
        st = error_set(err, ERR_IO, "cannot start %s: %s", argv[0], strerror(errno));
        goto out;
    }
    if (pid == 0) child(argv, merged, null_fd, ends[1], parent);
    close(ends[1]);
    ends[1] = -1;
    st = supervise(pid, ends[0], tick, ctx, out, err);
out:
    if (ends[0] >= 0) close(ends[0]);
    if (ends[1] >= 0) close(ends[1]);
    if (null_fd >= 0) close(null_fd);
    free(merged);
    return st;
}

void process_last_words(const char *tail, char *dst, size_t cap)
{
    const char *best = "", *line = tail;
    size_t best_len = 0;
    bool is_error = false;
    while (*line) {
        size_t len = strcspn(line, "\r\n");
        bool error_line = strncmp(line, "ERROR", 5) == 0;
        if (len > 0 && (error_line || !is_error)) {
            best = line;
            best_len = len;
            is_error = error_line;
        }
        line += len;
        line += strspn(line, "\r\n");
    }
    if (is_error && strncmp(best, "ERROR: ", 7) == 0) {
        best += 7;
        best_len -= 7;
    }
    snprintf(dst, cap, "%.*s", (int)(best_len < 400 ? best_len : 400), best);
}
