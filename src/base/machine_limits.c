/* Memory, swap and what the control group leaves: /proc/meminfo (proc(5)) and cgroups(7). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/machine.h"

enum { MAX_PATH = 4096 };

static bool read_text(const char *path, char *dst, size_t cap)
{
    FILE *f = fopen(path, "re");
    if (!f) return false;
    size_t n = fread(dst, 1, cap - 1, f);
    fclose(f);
    dst[n] = 0;
    return n > 0;
}

/* The number in ROOT/DIR/NAME; 0 where there is none, or a word such as "max". */
static uint64_t read_number(const char *dir, const char *name)
{
    char path[MAX_PATH], text[64];
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) return 0;
    if (!read_text(path, text, sizeof text)) return 0;
    return text[0] >= '0' && text[0] <= '9' ? strtoull(text, NULL, 10) : 0;
}

/* A line "KEY 123" of a file. */
static uint64_t read_stat(const char *dir, const char *name, const char *key)
{
    char path[MAX_PATH], line[256];
    size_t n = strlen(key);
    uint64_t value = 0;
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) return 0;
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, n) == 0 && line[n] == ' ') value = strtoull(line + n, NULL, 10);
    if (f) fclose(f);
    return value;
}

static void read_meminfo(const char *root, struct machine_limits *out)
{
    const struct {
        const char *key;
        uint64_t *value;
    } keys[] = {{"MemTotal:", &out->total_bytes},
                {"MemAvailable:", &out->available_bytes},
                {"SwapTotal:", &out->swap_bytes},
                {"SwapFree:", &out->swap_free_bytes}};
    char path[MAX_PATH], line[256];
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
            if (strncmp(line, keys[i].key, strlen(keys[i].key)) == 0)
                *keys[i].value = strtoull(line + strlen(keys[i].key), NULL, 10) * 1024;
    if (f) fclose(f);
}

static void take_quota(struct machine_limits *out, double quota, double period)
{
    if (quota <= 0 || period <= 0) return;
    double cpus = quota / period;
    if (out->quota_cpus == 0 || cpus < out->quota_cpus) out->quota_cpus = cpus;
}

static void take_limit(struct machine_limits *out, uint64_t limit, uint64_t used)
{
    /* Version 1 tells "none" by a number near the largest one. */
    if (limit == 0 || limit >= UINT64_C(1) << 62) return;
    if (out->limit_bytes && out->limit_bytes <= limit) return;
    out->limit_bytes = limit;
    out->group_bytes = used;
}

static void read_group(const char *dir, struct machine_limits *out)
{
    char path[MAX_PATH], text[128];
    double quota, period;
    if (snprintf(path, sizeof path, "%s/cpu.max", dir) < (int)sizeof path &&
        read_text(path, text, sizeof text) && sscanf(text, "%lf %lf", &quota, &period) == 2)
        take_quota(out, quota, period);
    take_quota(out, (double)read_number(dir, "cpu.cfs_quota_us"),
               (double)read_number(dir, "cpu.cfs_period_us"));
    /* File pages are dropped before anything is refused. */
    uint64_t used = read_number(dir, "memory.current");
    uint64_t files = read_stat(dir, "memory.stat", "file");
    take_limit(out, read_number(dir, "memory.max"), used > files ? used - files : 0);
    used = read_number(dir, "memory.usage_in_bytes");
    files = read_stat(dir, "memory.stat", "total_cache");
    take_limit(out, read_number(dir, "memory.limit_in_bytes"), used > files ? used - files : 0);
}

/* The group and all groups above it. */
static void walk_groups(const char *mount, const char *group, struct machine_limits *out)
{
    char dir[MAX_PATH];
    if (snprintf(dir, sizeof dir, "%s%s", mount, strcmp(group, "/") ? group : "") >=
        (int)sizeof dir)
        return;
    for (;;) {
        read_group(dir, out);
        char *slash = strrchr(dir, '/');
        if (!slash || strlen(dir) <= strlen(mount)) return;
        *slash = 0;
    }
}

/* Each line of /proc/self/cgroup is "hierarchy:controllers:group". */
static void read_groups(const char *root, struct machine_limits *out)
{
    char path[MAX_PATH], line[MAX_PATH], mount[MAX_PATH];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;
        if (!group) continue;
        *list++ = 0;
        *group++ = 0;
        const char *sub = *list == 0                    ? ""
                          : strcmp(list, "memory") == 0 ? "/memory"
                          : strstr(list, "cpu")         ? "/cpu"
                                                        : NULL;
        if (!sub) continue;
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup%s", root, sub);
        walk_groups(mount, group, out);
    }
    if (f) fclose(f);
}

/* Container engines leave a mark; see systemd-detect-virt(1) for these. */
static bool in_container(const char *root)
{
    static const char *const marks[] = {"/.dockerenv", "/run/.containerenv",
                                        "/run/systemd/container"};
    char path[MAX_PATH];
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        snprintf(path, sizeof path, "%s%s", root, marks[i]);
        FILE *f = fopen(path, "re");
        if (!f) continue;
        fclose(f);
        return true;
    }
    return false;
}

/* "always [madvise] never": the one in brackets is on. */
static void read_huge_pages(const char *root, struct machine_limits *out)
{
    char path[MAX_PATH], text[128];
    snprintf(path, sizeof path, "%s/sys/kernel/mm/transparent_hugepage/enabled", root);
    if (!read_text(path, text, sizeof text)) return;
    char *open = strchr(text, '['), *end = open ? strchr(open, ']') : NULL;
    if (!end) return;
    *end = 0;
    snprintf(out->huge_pages, sizeof out->huge_pages, "%.15s", open + 1);
}

void machine_limits_read_at(const char *root, struct machine_limits *out)
{
    *out = (struct machine_limits){0};
    read_meminfo(root, out);
    read_groups(root, out);
    read_huge_pages(root, out);
    out->container = in_container(root);
}

void machine_limits_read(struct machine_limits *out)
{
    machine_limits_read_at("", out);
}

uint64_t machine_limits_usable(const struct machine_limits *l)
{
    uint64_t left = l->available_bytes;
    if (l->limit_bytes == 0) return left;
    uint64_t group = l->limit_bytes > l->group_bytes ? l->limit_bytes - l->group_bytes : 0;
    return left == 0 || group < left ? group : left;
}
