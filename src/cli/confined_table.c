#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/confined_int.h"

static const struct confined_row table[] = {
    {"ask", NEED_START | NEED_HERE | NEED_CACHE | NEED_NET | NEED_INDEX, {NULL}},
    {"bench", NEED_CACHE, {"keep"}},
    {"complete", NEED_ARGS | NEED_CACHE, {NULL}},
    {"detokenize", NEED_ARGS, {NULL}},
    {"doctor", NEED_ARGS, {NULL}},
    {"embed", NEED_CACHE, {NULL}},
    {"generate", NEED_CACHE, {NULL}},
    {"import", NEED_START | NEED_LOCAL | NEED_ARGS | NEED_OUT_ARG | NEED_STORE | NEED_CACHE, {NULL}},
    {"imatrix", NEED_ARGS | NEED_CACHE, {"out"}},
    {"index", NEED_START | NEED_HERE | NEED_CACHE | NEED_INDEX, {NULL}},
    {"lsp", NEED_START | NEED_ANYWHERE | NEED_CACHE | NEED_STATS | NEED_NET | NEED_NET_LATER, {"log"}},
    {"map", NEED_START | NEED_HERE | NEED_CACHE, {NULL}},
    {"mcp", NEED_START | NEED_HERE | NEED_CACHE | NEED_INDEX, {NULL}},
    {"perplexity", NEED_ARGS | NEED_CACHE, {"save-logits"}},
    {"quantize", NEED_START | NEED_ARGS | NEED_OUT_ARG, {NULL}},
    {"rerank", NEED_CACHE, {NULL}},
    {"rm", NEED_START | NEED_STORE | NEED_CACHE, {NULL}},
    {"run", NEED_CACHE | NEED_NET, {NULL}},
    {"score", NEED_ARGS | NEED_CACHE, {NULL}},
    {"search", NEED_START | NEED_HERE | NEED_CACHE | NEED_INDEX, {NULL}},
    {"serve", NEED_CACHE | NEED_LISTEN, {"slot-save-path"}},
    {"show", NEED_START | NEED_ARGS, {NULL}},
    {"tokenize", NEED_ARGS, {NULL}},
};

const struct confined_row *confined_row_find(const char *command)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].command, command) == 0) return &table[i];
    return NULL;
}

void confined_system(unsigned needs, void (*allow)(const char *path, enum confine_access access))
{
    /* /proc of other processes stays closed but for what every user may see: Landlock refuses what
     * needs the right to trace them. */
    static const char *const always[] = {
        "/proc",       "/sys",        "/etc/localtime", "/usr/share/zoneinfo", "/usr/share/terminfo",
        "/etc/terminfo", "/lib/terminfo", "/usr/lib/locale", "/usr/share/locale", "/etc/ssl/openssl.cnf",
        "/etc/pki/tls/openssl.cnf", "/dev/urandom", "/dev/random", "/dev/zero",
    };
    static const char *const network[] = {
        "/etc/resolv.conf", "/etc/hosts",     "/etc/host.conf",         "/etc/nsswitch.conf",
        "/etc/gai.conf",    "/etc/ssl/certs", "/usr/share/ca-certificates", "/etc/pki",
    };
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) allow(always[i], CONFINE_READ);
    for (size_t i = 0; i < sizeof network / sizeof *network && needs & (NEED_NET | NEED_NET_LATER); i++)
        allow(network[i], CONFINE_READ);
    allow("/dev/null", CONFINE_WRITE);
}

void confined_own_file(char *path, void (*allow)(const char *path, enum confine_access access))
{
    static const char *const companions[] = {"", "-wal", "-shm"};
    char name[4096];
    size_t n = strlen(path);
    bool database = n > 7 && strcmp(path + n - 7, ".sqlite") == 0;
    struct error ignored;
    if (n && path[n - 1] == '/') {
        path[n - 1] = 0;
        if (file_make_dirs(path, &ignored) == OK) allow(path, CONFINE_WRITE);
        return;
    }
    for (size_t i = 0; i < (database ? 3 : 1); i++) {
        if (snprintf(name, sizeof name, "%s%s", path, companions[i]) >= (int)sizeof name) return;
        int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0) close(fd);
        allow(name, CONFINE_WRITE);
    }
}
