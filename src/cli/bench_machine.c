/* What a result has to say about the machine and the program that gave it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/machine.h"
#include "cli/bench.h"
#include "kern/kern.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

enum { MAX_CPUINFO = 1 << 24 };

/* Those that kernels, Hearth's or others', choose by. */
static const char *const features[] = {
    "sse4_1",   "avx",      "avx2",        "fma",         "f16c",        "avx_vnni", "avx512f",
    "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8",
    "amx_bf16", "asimd",    "asimddp",     "i8mm",        "sve",         "sve2",
};

/* Whether `word` stands in the line by itself. */
static bool has_word(const char *line, size_t len, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = line; (p = memmem(p, len - (size_t)(p - line), word, n)); p += n) {
        bool begins = p == line || p[-1] == ' ' || p[-1] == '\t' || p[-1] == ':';
        bool ends = p + n == line + len || p[n] == ' ';
        if (begins && ends) return true;
    }
    return false;
}

static json_t *cpu_features(void)
{
    struct buf text;
    json_t *list = json_array();
    buf_init(&text, MAX_CPUINFO);
    if (file_read_all("/proc/cpuinfo", &text, NULL) == OK && text.data) {
        const char *line = strstr(text.data, "\nflags");
        if (!line) line = strstr(text.data, "\nFeatures");
        const char *end = line ? strchr(line + 1, '\n') : NULL;
        for (size_t i = 0; end && i < sizeof features / sizeof *features; i++)
            if (has_word(line, (size_t)(end - line), features[i]))
                json_array_append_new(list, json_string(features[i]));
    }
    buf_fini(&text);
    return list;
}

json_t *bench_machine_json(void)
{
    char cpu[128], date[32], os[256];
    struct utsname u = {0};
    const struct kern_ops *ops = NULL;
    time_t now = time(NULL);
    struct tm tm = {0};
    uname(&u);
    snprintf(os, sizeof os, "%s %s %s", u.sysname, u.release, u.machine);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    kern_select(getenv("HEARTH_CPU"), &ops, NULL);
    return json_pack("{s:s, s:i, s:o, s:I, s:s, s:s, s:s, s:s, s:s}", "cpu",
                     machine_cpu_name(cpu, sizeof cpu), "cores", machine_physical_cores(),
                     "features", cpu_features(), "memory_bytes",
                     (json_int_t)sysconf(_SC_PHYS_PAGES) * (json_int_t)sysconf(_SC_PAGESIZE), "os",
                     os, "kernels", ops ? ops->name : "unknown", "compiler", COMPILER, "hearth",
                     HEARTH_VERSION, "date", date);
}
