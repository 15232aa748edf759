/* What a person sees besides a command's own output: errors, colour, sizes. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cli_int.h"

static int exit_code(enum status code)
{
    switch (code) {
    case OK:
        return EXIT_OK;
    case ERR_INVALID:
        return EXIT_USAGE;
    case ERR_CANCELLED:
        return EXIT_INTERRUPTED;
    default:
        return EXIT_FAILED;
    }
}

static void print_error(const char *who, const char *message, const char *hint)
{
    /* What the command has already said comes before the reason it stopped. */
    fflush(stdout);
    bool color = cli_color(STDERR_FILENO);
    fprintf(stderr, "%s%s:%s %s%s\n", color ? "\033[1;31m" : "", who, color ? "\033[0m" : "",
            message, hint);
}

int cli_fail(const struct error *err)
{
    print_error("hearth", err->msg[0] ? err->msg : status_name(err->code), "");
    return exit_code(err->code);
}

int cli_usage_error(const struct command *cmd, const char *fmt, ...)
{
    char text[sizeof((struct error *)0)->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct error err;
    error_set(&err, ERR_INVALID, "%s", text); /* makes it one line */
    char who[80], hint[80];
    snprintf(who, sizeof who, cmd ? "hearth %s" : "hearth", cmd ? cmd->name : "");
    snprintf(hint, sizeof hint, " (see 'hearth help%s%s')", cmd ? " " : "", cmd ? cmd->name : "");
    print_error(who, err.msg, hint);
    return EXIT_USAGE;
}

bool cli_color(int fd)
{
    const char *no_color = getenv("NO_COLOR"); /* https://no-color.org: set and not empty */
    const char *term = getenv("TERM");
    if (no_color && *no_color) return false;
    return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}

int cli_columns(int fd)
{
    struct winsize ws;
    if (ioctl(fd, TIOCGWINSZ, &ws) != 0 || ws.ws_col == 0) return 80;
    return ws.ws_col;
}

bool cli_utf8(void)
{
    const char *names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *v = getenv(names[i]);
        if (v && *v) return strcasestr(v, "utf-8") || strcasestr(v, "utf8");
    }
    return false;
}

const char *cli_format_bytes(uint64_t n, char *dst, size_t cap)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    if (n < 1000) {
        snprintf(dst, cap, "%u B", (unsigned)n);
        return dst;
    }
    double v = (double)n;
    size_t unit = 0;
    /* 999.5 and up would print as "1000", with three digits of precision. */
    while (v >= 999.5 && unit + 1 < sizeof units / sizeof units[0]) {
        v /= 1000;
        unit++;
    }
    int decimals = v < 9.995 ? 2 : v < 99.95 ? 1 : 0;
    snprintf(dst, cap, "%.*f %s", decimals, v, units[unit]);
    return dst;
}
