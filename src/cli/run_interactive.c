/* Reading lines from a terminal: editing and history by libedit, several lines between """.
 *
 * Ctrl-C is blocked but for two places: while an answer is written, and while a key is waited for. So
 * it cannot fall between a look at the flag and the wait, wherever it comes. */
#include <editline/readline.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/run.h"

enum { MAX_HISTORY = 1000 };

char *run_home_file(const char *name, struct error *err)
{
    const char *home = getenv("HEARTH_HOME"), *xdg = getenv("XDG_DATA_HOME"), *h = getenv("HOME");
    char *path = NULL;
    int n = home && *home       ? asprintf(&path, "%s/%s", home, name)
            : xdg && *xdg == '/' ? asprintf(&path, "%s/hearth/%s", xdg, name)
            : h && *h           ? asprintf(&path, "%s/.local/share/hearth/%s", h, name)
                                : -2;
    if (n < 0) {
        error_set(err, n == -2 ? ERR_INVALID : ERR_NOMEM,
                  n == -2 ? "neither HEARTH_HOME nor HOME is set, so there is no place for %s" : "out of memory for %s", name);
        return NULL;
    }
    char *slash = strrchr(path, '/');
    *slash = 0;
    enum status st = file_make_dirs(path, err);
    *slash = '/';
    if (st == OK) return path;
    free(path);
    return NULL;
}

/* The history is the owner's alone from the moment it exists. NULL: none is kept. */
static char *open_history(const struct run *r)
{
    struct error err;
    if (!r->history) return NULL;
    char *path = run_home_file("history", &err);
    int fd = path ? open(path, O_CREAT | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || fchmod(fd, 0600) != 0) {
        fprintf(stderr, "hearth: the history is not kept: %s\n", path ? strerror(errno) : err.msg);
        if (fd >= 0) close(fd);
        free(path);
        return NULL;
    }
    close(fd);
    read_history(path);
    stifle_history(MAX_HISTORY);
    return path;
}

static void remember(const char *path, const char *line)
{
    if (!*line) return;
    add_history(line);
    if (!path) return;
    mode_t old = umask(077);
    write_history(path);
    umask(old);
}

/* ---- keys and Ctrl-C --------------------------------------------------------------------------- */

void run_interrupt_block(bool block)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

/* Waits for a key; false where Ctrl-C comes instead. libedit's own handler comes first, puts the
 * terminal back, and sends the signal again, which then waits for the next round. */
static bool wait_key(int fd)
{
    sigset_t open;
    pthread_sigmask(SIG_BLOCK, NULL, &open);
    sigdelset(&open, SIGINT);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (!*run_interrupt_flag_now()) {
        int n = ppoll(&p, 1, NULL, &open);
        if (n > 0 && !*run_interrupt_flag_now()) return true;
        if (n < 0 && errno != EINTR) return true; /* reading tells what is wrong */
    }
    return false;
}

/* The next character for libedit; -1 ends the line. */
static int read_key(FILE *in)
{
    mbstate_t state = {0};
    wchar_t c;
    for (;;) {
        char byte;
        if (!wait_key(fileno(in))) return -1;
        ssize_t n = read(fileno(in), &byte, 1);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n <= 0) return -1;
        size_t len = mbrtowc(&c, &byte, 1, &state);
        if (len == 0) return 0;
        if (len == 1) return (int)c;
        if (len == (size_t)-1) memset(&state, 0, sizeof state); /* no character: left out */
    }
}

/* While an answer is written the terminal collects lines, and would take a Ctrl-D for the end of one:
 * libedit, which takes keys one by one, then reads a zero. So the key is a plain one until the
 * conversation ends. False where the input is no terminal. */
static bool keep_end_key(struct termios *was)
{
    if (tcgetattr(STDIN_FILENO, was) != 0) return false;
    struct termios t = *was;
    t.c_cc[VEOF] = _POSIX_VDISABLE;
    return tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0;
}

/* Reads up to the closing """; `first` is what stands behind the opening one. Ctrl-C drops it all. */
static enum status read_block(const char *first, struct buf *out)
{
    const char *end = strstr(first, "\"\"\"");
    enum status st = buf_append(out, first, end ? (size_t)(end - first) : strlen(first));
    while (st == OK && !end) {
        if (out->len) st = buf_append_str(out, "\n");
        char *line = readline("... ");
        if (!line) {
            if (*run_interrupt_flag_now()) buf_clear(out);
            return st;
        }
        end = strstr(line, "\"\"\"");
        if (st == OK) st = buf_append(out, line, end ? (size_t)(end - line) : strlen(line));
        free(line);
        if (end && out->len && out->data[out->len - 1] == '\n') out->data[--out->len] = 0;
    }
    return st;
}

static enum status say(struct run *r, const char *text, struct error *err)
{
    struct buf message;
    buf_init(&message, RUN_MAX_TEXT);
    enum status st = run_expand_files(text, &message, err);
    *run_interrupt_flag_now() = 0;
    run_interrupt_block(false);
    if (st == OK) st = run_say(r, message.data ? message.data : "", err);
    run_interrupt_block(true);
    if (st == OK && r->res.finish == FINISH_CANCELLED) fprintf(stderr, "(stopped)\n");
    buf_fini(&message);
    return st;
}

/* One line and what belongs to it. */
static void handle(struct run *r, const char *line, bool *leave)
{
    struct error err = {0};
    struct buf block;
    buf_init(&block, RUN_MAX_TEXT);
    const char *p = line + strspn(line, " \t");
    enum status st = OK;
    if (strncmp(p, "\"\"\"", 3) == 0) {
        st = read_block(p + 3, &block);
        if (st != OK) error_set(&err, st, "the text is longer than %d bytes", RUN_MAX_TEXT);
        if (st == OK && block.len) st = say(r, block.data, &err);
    } else if (*p == '/' && !strchr(p + 1, '/')) {
        run_command(r, p, leave);
    } else if (*p) {
        st = say(r, line, &err);
    }
    if (st != OK) cli_fail(&err);
    buf_fini(&block);
}

int run_interactive(struct run *r)
{
    bool leave = false;
    struct termios was;
    bool kept = keep_end_key(&was); /* before libedit looks at the terminal */
    setlocale(LC_CTYPE, ""); /* else only ASCII could be typed */
    rl_getc_function = read_key;
    using_history();
    char *history = open_history(r);
    volatile int *interrupted = run_interrupt_flag();
    if (cli_color(STDERR_FILENO)) fprintf(stderr, "\033[2m/help lists commands; Ctrl-D ends\033[0m\n");
    while (!leave) {
        errno = 0;
        *interrupted = 0;
        char *line = readline(">>> ");
        /* Ctrl-C on a line drops the line. */
        if (!line && *interrupted) {
            printf("\n");
            continue;
        }
        if (!line) break;
        remember(history, line);
        handle(r, line, &leave);
        free(line);
    }
    if (!leave) printf("\n");
    if (kept) (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &was);
    free(history);
    return EXIT_OK;
}
