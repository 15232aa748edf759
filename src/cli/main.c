/* Finds the command, parses its options, runs it, and makes sure that what it wrote arrived. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cli_int.h"
#include "cli/confined.h"

/* A reader of our output that went away (`hearth list | head -1`) ends the program as it ends any
 * other Unix tool. A network peer that went away must not: there the write just fails. */
static void on_sigpipe(int sig)
{
    int saved = errno;
    struct pollfd ends[] = {{.fd = STDOUT_FILENO}, {.fd = STDERR_FILENO}};
    if (poll(ends, 2, 0) > 0 && ((ends[0].revents | ends[1].revents) & POLLERR)) {
        signal(sig, SIG_DFL);
        raise(sig);
    }
    errno = saved;
}

static void set_signals(void)
{
    struct sigaction sa = {.sa_handler = on_sigpipe, .sa_flags = SA_RESTART};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGPIPE, &sa, NULL);
}

/* A descriptor missing at start would be given to the next file opened, which then received what is
 * meant for the terminal. */
static void open_missing_descriptors(void)
{
    struct pollfd fds[] = {{.fd = 0}, {.fd = 1}, {.fd = 2}};
    if (poll(fds, 3, 0) < 0) return;
    for (int fd = 0; fd < 3; fd++) {
        if (!(fds[fd].revents & POLLNVAL)) continue;
        FILE *f = fopen("/dev/null", fd == 0 ? "w" : "r"); /* wrong way round: its use is an error */
        if (!f) _exit(EXIT_FAILED);
    }
}

static bool wants_help(const struct command *cmd, int argc, char **argv)
{
    bool letter_taken = false;
    for (const struct option *o = cmd->options; o && o->name; o++)
        if (o->letter == 'h') letter_taken = true;
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || (!letter_taken && strcmp(argv[i], "-h") == 0))
            return true;
    return false;
}

static int run_command(const struct command *cmd, int argc, char **argv)
{
    if (wants_help(cmd, argc, argv)) {
        cli_help_command(cmd, stdout);
        return EXIT_OK;
    }
    confined_take_flag(&argc, argv);
    void *options = calloc(1, cmd->options_size ? cmd->options_size : 1);
    struct error err = {0};
    int code;
    if (!options) {
        error_set(&err, ERR_NOMEM, "out of memory");
        code = cli_fail(&err);
    } else if (cli_parse(cmd, &argc, argv, options, &err) != OK) {
        code = cli_usage_error(cmd, "%s", err.msg);
    } else if (confined_begin(cmd, options, argc, argv, &err) != OK) {
        code = cli_fail(&err);
    } else {
        code = cmd->run(options, argc, argv);
    }
    free(options);
    return code;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        cli_help_overview(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("hearth %s\n", HEARTH_VERSION);
        return EXIT_OK;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) name = "help";
    const struct command *cmd = cli_command_find(name);
    if (cmd) return run_command(cmd, argc - 2, argv + 2);
    if (name[0] == '-')
        return cli_usage_error(NULL, "unknown option %s; a command comes first", name);
    return cli_no_command(name);
}

/* A full disk shows only when the last buffer is written: without this, `hearth ... > file` would
 * report success for a cut file. */
static int finish_output(int code)
{
    struct error err;
    bool failed = ferror(stdout) != 0;
    errno = 0;
    if (fflush(stdout) != 0) failed = true;
    int reason = errno;
    /* A write that failed earlier left no reason: another one tells it, and the output is cut anyway. */
    if (failed && !reason && write(STDOUT_FILENO, "\n", 1) < 0) reason = errno;
    if (close(STDOUT_FILENO) != 0 && errno != EBADF && !failed) {
        failed = true;
        reason = errno;
    }
    if (!failed) return code;
    if (reason == EPIPE) return code ? code : EXIT_FAILED; /* SIGPIPE was blocked: still quiet */
    error_set(&err, ERR_IO, "cannot write to standard output: %s",
              reason ? strerror(reason) : "an earlier write failed");
    int failure = cli_fail(&err);
    return code ? code : failure;
}

int main(int argc, char **argv)
{
    open_missing_descriptors();
    set_signals();
    return finish_output(dispatch(argc, argv));
}
