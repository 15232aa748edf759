#include "base/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_CPUS = 4096, MAX_PATH = 4096 };

/* Reads the start of a small file as a string; -1 where there is none. */
static int read_text(const char *path, char *dst, size_t cap)
{
    FILE *f = fopen(path, "re");
    if (!f) return -1;
    size_t n = fread(dst, 1, cap - 1, f);
    fclose(f);
    dst[n] = 0;
    return 0;
}

static int read_int(const char *path, long *out)
{
    char text[64], *end;
    if (read_text(path, text, sizeof text) < 0) return -1;
    *out = strtol(text, &end, 10);
    return end == text ? -1 : 0;
}

/* Distinct (package, core) pairs; a CPU whose topology is hidden counts as a core of its own. */
static int count_cores(const char *root, const int *cpus, size_t n_cpus)
{
    struct {
        long package, core;
    } *seen = calloc(n_cpus ? n_cpus : 1, sizeof *seen);
    if (!seen) return 1;
    int n = 0;
    for (size_t i = 0; i < n_cpus; i++) {
        char path[MAX_PATH];
        long package, core;
        snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/topology/physical_package_id",
                 root, cpus[i]);
        if (read_int(path, &package) < 0) package = -1;
        snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/topology/core_id", root,
                 cpus[i]);
        if (read_int(path, &core) < 0) package = -1, core = -1 - cpus[i];
        int j = 0;
        while (j < n && (seen[j].package != package || seen[j].core != core)) j++;
        if (j == n) {
            seen[n].package = package;
            seen[n++].core = core;
        }
    }
    free(seen);
    return n > 0 ? n : 1;
}

/* Whole CPUs that one group's quota allows, or -1 where it sets none. */
static long group_quota(const char *dir)
{
    char path[MAX_PATH], text[128];
    long quota = -1, period = -1;
    if (snprintf(path, sizeof path, "%s/cpu.max", dir) < (int)sizeof path &&
        read_text(path, text, sizeof text) == 0) { /* version 2: "max 100000" or "150000 100000" */
        if (sscanf(text, "%ld %ld", &quota, &period) != 2) return -1;
    } else { /* version 1; a quota of -1 is none */
        if (snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir) >= (int)sizeof path ||
            read_int(path, &quota) < 0)
            return -1;
        if (snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir) >= (int)sizeof path ||
            read_int(path, &period) < 0)
            return -1;
    }
    if (quota <= 0 || period <= 0) return -1;
    return quota / period > 0 ? quota / period : 1;
}

/* The smallest quota of a group and all groups above it. */
static long walk_quota(const char *mount, const char *group)
{
    char dir[MAX_PATH];
    if (snprintf(dir, sizeof dir, "%s%s", mount, group) >= (int)sizeof dir) return -1;
    long least = -1;
    for (;;) {
        long q = group_quota(dir);
        if (q > 0 && (least < 0 || q < least)) least = q;
        char *slash = strrchr(dir, '/');
        if (!slash || strlen(dir) <= strlen(mount)) return least;
        *slash = 0;
    }
}

/* True where a comma-separated list of controllers names "cpu". */
static int has_cpu(const char *list)
{
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ",");
        if (n == 3 && memcmp(p, "cpu", 3) == 0) return 1;
        p += n + (p[n] == ',');
    }
    return 0;
}

/* cgroups(7): each line of /proc/self/cgroup is "hierarchy:controllers:group". */
static long quota_cores(const char *root)
{
    char path[MAX_PATH], line[MAX_PATH], mount[MAX_PATH];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "re");
    if (!f) return -1;
    long least = -1;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *list = strchr(line, ':');
        char *group = list ? strchr(list + 1, ':') : NULL;
        if (!group) continue;
        *list++ = 0;
        *group++ = 0;
        const char *sub = "";
        if (*list) {
            if (!has_cpu(list)) continue;
            sub = "/cpu";
        }
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup%s", root, sub);
        long q = walk_quota(mount, strcmp(group, "/") == 0 ? "" : group);
        if (q > 0 && (least < 0 || q < least)) least = q;
    }
    fclose(f);
    return least;
}

int machine_physical_cores_at(const char *root, const int *cpus, size_t n_cpus)
{
    int cores = count_cores(root, cpus, n_cpus);
    long quota = quota_cores(root);
    return quota > 0 && quota < cores ? (int)quota : cores;
}

int machine_physical_cores(void)
{
    int cpus[MAX_CPUS];
    size_t n = 0;
    size_t bytes = CPU_ALLOC_SIZE(MAX_CPUS);
    cpu_set_t *set = CPU_ALLOC(MAX_CPUS);
    if (set && sched_getaffinity(0, bytes, set) == 0)
        for (int i = 0; i < MAX_CPUS; i++)
            if (CPU_ISSET_S(i, bytes, set)) cpus[n++] = i;
    if (set) CPU_FREE(set);
    if (n == 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        for (int i = 0; i < online && i < MAX_CPUS; i++) cpus[n++] = i;
    }
    return machine_physical_cores_at("", cpus, n);
}

uint64_t machine_cache_bytes(void)
{
    uint64_t bytes = 0;
    for (int i = 0; i < 8; i++) { /* the highest level comes last: "32768K" */
        char path[96], text[32], *end;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        if (read_text(path, text, sizeof text) < 0) break;
        uint64_t n = strtoull(text, &end, 10);
        bytes = *end == 'M' ? n << 20 : *end == 'K' ? n << 10 : n;
    }
#ifdef _SC_LEVEL3_CACHE_SIZE
    long told = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (bytes == 0 && told > 0) bytes = (uint64_t)told;
#endif
    return bytes;
}

const char *machine_cpu_name(char *dst, size_t cap)
{
    snprintf(dst, cap, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f) return dst;
    char line[1024];
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "model name", 10) != 0) continue;
        char *colon = strchr(line, ':');
        if (!colon) continue;
        colon += 1 + strspn(colon + 1, " \t");
        colon[strcspn(colon, "\n")] = 0;
        snprintf(dst, cap, "%s", colon);
        break;
    }
    fclose(f);
    return dst;
}

/* A line "Key:   123 kB" of a file in /proc, in bytes. */
static uint64_t proc_kib(const char *path, const char *key)
{
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    char line[256];
    uint64_t kib = 0;
    size_t n = strlen(key);
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, key, n) != 0 || line[n] != ':') continue;
        kib = strtoull(line + n + 1, NULL, 10);
        break;
    }
    fclose(f);
    return kib * 1024;
}

uint64_t machine_resident_bytes(void)
{
    return proc_kib("/proc/self/status", "VmRSS");
}

uint64_t machine_available_bytes(void)
{
    return proc_kib("/proc/meminfo", "MemAvailable");
}
