/* Progress and sizes as people see them. The clock is the test's own (linked with
 * --wrap=clock_now), so nothing waits. */
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "cli/cli.h"

static double now;

double __wrap_clock_now(void);
double __wrap_clock_now(void)
{
    return now;
}

/* Standard error for the length of a test: a pipe's or a terminal's other end. */
struct capture {
    int saved, read_end;
    char text[65536];
};

static void capture_start(struct capture *c, bool terminal)
{
    int write_end;
    if (terminal) {
        struct winsize size = {.ws_row = 24, .ws_col = 100};
        assert_int_equal(openpty(&c->read_end, &write_end, NULL, NULL, &size), 0);
        struct termios raw;
        assert_int_equal(tcgetattr(write_end, &raw), 0);
        cfmakeraw(&raw);
        assert_int_equal(tcsetattr(write_end, TCSANOW, &raw), 0);
    } else {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        c->read_end = ends[0];
        write_end = ends[1];
    }
    fcntl(c->read_end, F_SETFL, O_NONBLOCK);
    fflush(stderr);
    c->saved = dup(STDERR_FILENO);
    dup2(write_end, STDERR_FILENO);
    close(write_end);
}

static void capture_end(struct capture *c)
{
    fflush(stderr);
    size_t len = 0;
    for (ssize_t n; (n = read(c->read_end, c->text + len, sizeof c->text - 1 - len)) > 0;)
        len += (size_t)n;
    c->text[len] = 0;
    dup2(c->saved, STDERR_FILENO);
    close(c->saved);
    close(c->read_end);
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *s = text; (s = strstr(s, what)); s += strlen(what)) n++;
    return n;
}

static int set_environment(void **state)
{
    (void)state;
    setenv("TERM", "xterm", 1);
    setenv("LC_ALL", "C", 1);
    setenv("NO_COLOR", "1", 1);
    return 0;
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        const char *text;
    } cases[] = {
        {0, "0 B"},           {1, "1 B"},           {999, "999 B"},         {1000, "1.00 kB"},
        {9994, "9.99 kB"},    {9996, "10.0 kB"},    {99940, "99.9 kB"},     {99960, "100 kB"},
        {999499, "999 kB"},   {999500, "1.00 MB"},  {1117320768, "1.12 GB"}, {98000000, "98.0 MB"},
        {UINT64_MAX, "18.4 EB"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[32];
        assert_string_equal(cli_format_bytes(cases[i].n, text, sizeof text), cases[i].text);
    }
}

static void a_log_gets_a_plain_line_every_few_seconds(void **state)
{
    (void)state;
    struct capture c;
    now = 1000;
    capture_start(&c, false);
    struct progress *p = progress_start("Fetching m", true);
    for (int i = 0; i <= 1000; i++) {
        now = 1000 + i / 100.0;
        progress_update(p, (uint64_t)i * 1000000, 1000000000);
    }
    progress_end(p);
    capture_end(&c);
    assert_int_equal(count(c.text, "\n"), 4); /* at 3, 6 and 9 seconds, and the end */
    assert_null(strchr(c.text, '\r'));
    assert_null(strchr(c.text, '\x1b'));
    assert_non_null(strstr(c.text, "Fetching m: 30%, 300 MB of 1.00 GB, 100 MB/s, 0:07 left\n"));
    assert_non_null(strstr(c.text, "Fetching m: 100%, 1.00 GB of 1.00 GB, 100 MB/s\n"));
}

static void a_quick_job_leaves_no_line_in_a_log(void **state)
{
    (void)state;
    struct capture c;
    now = 1000;
    capture_start(&c, false);
    struct progress *p = progress_start("Checking", true);
    progress_update(p, 0, 10);
    now += 0.2;
    progress_update(p, 10, 10);
    progress_end(p);
    capture_end(&c);
    assert_string_equal(c.text, "");
}

static void a_terminal_is_redrawn_ten_times_a_second_at_most(void **state)
{
    (void)state;
    struct capture c;
    now = 1000;
    capture_start(&c, true);
    struct progress *p = progress_start("Fetching", true);
    for (int i = 0; i <= 2000; i++) {
        now = 1000 + i / 1000.0;
        progress_update(p, (uint64_t)i * 500000, 1000000000);
    }
    progress_end(p);
    capture_end(&c);
    size_t draws = count(c.text, "\r");
    assert_true(draws >= 18 && draws <= 22);
    assert_int_equal(count(c.text, "\n"), 1);
    assert_non_null(strstr(c.text, "100%  1.00 GB of 1.00 GB, "));
    assert_non_null(strstr(c.text, "Fetching  ############################## 100%"));
    /* No line reaches the terminal's last column, where it would wrap. */
    for (char *line = strtok(c.text, "\r"); line; line = strtok(NULL, "\r"))
        assert_true(strlen(line) < 100 + strlen("\x1b[K\n"));
}

static void a_narrow_terminal_gets_one_line(void **state)
{
    (void)state;
    struct capture c;
    now = 1000;
    capture_start(&c, true);
    struct winsize size = {.ws_row = 24, .ws_col = 20};
    assert_int_equal(ioctl(STDERR_FILENO, TIOCSWINSZ, &size), 0);
    struct progress *p = progress_start("Fetching", true);
    for (int i = 0; i <= 20; i++) {
        now = 1000 + i;
        progress_update(p, (uint64_t)i * 1000000, 1000000000);
    }
    progress_end(p);
    capture_end(&c);
    for (char *line = strtok(c.text, "\r"); line; line = strtok(NULL, "\r"))
        assert_true(strlen(line) < 20 + strlen("\x1b[K\n"));
}

static void a_resumed_job_counts_its_own_bytes(void **state)
{
    (void)state;
    struct capture c;
    now = 1000;
    capture_start(&c, false);
    struct progress *p = progress_start("R", true);
    for (int i = 0; i <= 400; i++) {
        now = 1000 + i / 100.0;
        progress_update(p, 900000000 + (uint64_t)i * 10000, 1000000000);
    }
    progress_end(p);
    capture_end(&c);
    assert_non_null(strstr(c.text, "R: 90%, 903 MB of 1.00 GB, 1.00 MB/s, 1:37 left\n"));
}

static void odd_figures_are_survived(void **state)
{
    (void)state;
    struct capture c;
    now = 1000;
    for (int terminal = 0; terminal < 2; terminal++) {
        capture_start(&c, terminal);
        struct progress *p = progress_start("X", true);
        progress_update(p, 0, 0);
        now += 10;
        progress_update(p, 5, 0);
        now += 10;
        progress_update(p, 50, 10); /* past the end */
        now += 10;
        progress_update(p, 3, 10); /* back again */
        now += 10;
        progress_update(p, UINT64_MAX, UINT64_MAX);
        now += 10;
        progress_update(p, 1, UINT64_MAX);
        progress_end(p);
        progress_update(NULL, 1, 2);
        progress_end(NULL);
        progress_end(progress_start("never used", false));
        capture_end(&c);
        assert_non_null(strstr(c.text, "5 B"));
        assert_null(strstr(c.text, "never used"));
    }
}

static void colour_is_asked_for(void **state)
{
    (void)state;
    int master, slave;
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    assert_false(cli_color(slave)); /* NO_COLOR is set */
    unsetenv("NO_COLOR");
    assert_true(cli_color(slave));
    setenv("NO_COLOR", "", 1);
    assert_true(cli_color(slave));
    setenv("TERM", "dumb", 1);
    assert_false(cli_color(slave));
    unsetenv("TERM");
    assert_false(cli_color(slave));
    setenv("TERM", "xterm", 1);
    close(slave);
    close(master);
    int file = open("/dev/null", O_WRONLY);
    assert_false(cli_color(file));
    close(file);
    setenv("NO_COLOR", "1", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(a_log_gets_a_plain_line_every_few_seconds),
        cmocka_unit_test(a_quick_job_leaves_no_line_in_a_log),
        cmocka_unit_test(a_terminal_is_redrawn_ten_times_a_second_at_most),
        cmocka_unit_test(a_narrow_terminal_gets_one_line),
        cmocka_unit_test(a_resumed_job_counts_its_own_bytes),
        cmocka_unit_test(odd_figures_are_survived),
        cmocka_unit_test(colour_is_asked_for),
    };
    return cmocka_run_group_tests(tests, set_environment, NULL);
}
