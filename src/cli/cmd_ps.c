/* hearth ps: the models that a running server has in memory. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/load.h"

struct ps_options {
    const char *server;
    bool json;
};

static const struct option options[] = {
    CLIENT_OPTION(struct ps_options),
    {"json", 0, OPTION_FLAG, NULL, "Print JSON", offsetof(struct ps_options, json)},
    {0},
};

/* "4 minutes from now": as precise as one wants it. */
static const char *until(const char *when, char *dst, size_t cap)
{
    static const struct {
        double seconds;
        const char *name;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    struct tm tm = {0};
    if (!when || !strptime(when, "%Y-%m-%dT%H:%M:%S", &tm)) return "?";
    double left = difftime(timegm(&tm), time(NULL));
    if (left > 20 * 365.0 * 86400) return "Forever";
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        long n = (long)(left / units[i].seconds + 0.5);
        if (left < units[i].seconds) continue;
        snprintf(dst, cap, "%ld %s%s from now", n, units[i].name, n == 1 ? "" : "s");
        return dst;
    }
    return "Stopping...";
}

static void print_table(const json_t *models)
{
    size_t width = strlen("NAME"), i;
    const json_t *m;
    json_array_foreach(models, i, m)
    {
        size_t len = json_string_length(json_object_get(m, "name"));
        if (len > width) width = len;
    }
    bool color = cli_color(1);
    printf("%s%-*s  %8s  PROCESSOR  %7s  UNTIL%s\n", color ? "\033[1m" : "", (int)width, "NAME",
           "SIZE", "CONTEXT", color ? "\033[0m" : "");
    json_array_foreach(models, i, m)
    {
        char size[32], when[64];
        const char *name = json_string_value(json_object_get(m, "name"));
        uint64_t bytes = (uint64_t)json_integer_value(json_object_get(m, "size"));
        printf("%-*s  %8s  100%% CPU   %7lld  %s\n", (int)width, name ? name : "?",
               cli_format_bytes(bytes, size, sizeof size),
               (long long)json_integer_value(json_object_get(m, "context_length")),
               until(json_string_value(json_object_get(m, "expires_at")), when, sizeof when));
    }
}

static int run(const void *opts, int argc, char **argv)
{
    (void)argc, (void)argv;
    const struct ps_options *o = opts;
    struct error err = {0};
    struct client *c = NULL;
    json_t *all = NULL;
    enum status st = client_open(o->server, &c, &err);
    if (st == OK) st = client_ask(c, "/api/ps", NULL, &all, &err);
    if (st == OK && !json_is_array(json_object_get(all, "models")))
        st = error_set(&err, ERR_FORMAT, "what answers at %s is no model server", client_url(c));
    if (st == OK && o->json)
        st = cli_print_json(json_incref(all), JSON_INDENT(2), &err);
    else if (st == OK)
        print_table(json_object_get(all, "models"));
    json_decref(all);
    client_close(c);
    return st == OK ? EXIT_OK : cli_fail(&err);
}

extern const struct command cmd_ps;
const struct command cmd_ps = {
    .name = "ps",
    .summary = "Show the models that a running server has in memory",
    .usage = "ps [options]",
    .description = "Asks the server on this machine, or the one that --server or HEARTH_HOST "
                   "names. A server with\n"
                   "API keys wants one in HEARTH_API_KEY.\n"
                   "\n"
                   "Examples:\n"
                   "  hearth ps\n"
                   "  hearth ps --json --server http://127.0.0.1:8080\n",
    .options = options,
    .options_size = sizeof(struct ps_options),
    .run = run,
};
