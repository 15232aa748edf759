/* What doctor says about the machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "cli/cli.h"
#include "cli/doctor.h"
#include "infer/probe.h"
#include "kern/kern.h"
#include "quant/quant.h"

/* Free bytes of the disk that a folder is on, or would be on: its nearest parent that is there. */
static uint64_t disk_free(const char *dir, dev_t *device)
{
    char path[4096];
    struct statvfs fs;
    struct stat sb;
    if (snprintf(path, sizeof path, "%s", dir) >= (int)sizeof path) return 0;
    while (stat(path, &sb) != 0) {
        char *slash = strrchr(path, '/');
        if (!slash) return 0;
        slash[slash == path] = 0; /* the root keeps its slash */
        if (slash == path && stat(path, &sb) != 0) return 0;
    }
    *device = sb.st_dev;
    return statvfs(path, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : 0;
}

/* The cache folder is only named here: it is made when something is put there. */
static char *cache_folder(void)
{
    const char *home = getenv("HEARTH_HOME"), *xdg = getenv("XDG_CACHE_HOME"), *h = getenv("HOME");
    char *dir = NULL;
    int n = -1;
    if (home && *home)
        n = asprintf(&dir, "%s/cache", home);
    else if (xdg && xdg[0] == '/')
        n = asprintf(&dir, "%s/hearth", xdg);
    else if (h && *h)
        n = asprintf(&dir, "%s/.cache/hearth", h);
    return n < 0 ? NULL : dir;
}

enum status doctor_look_at_machine(struct doctor *d, struct error *err)
{
    struct doctor_machine *m = &d->machine;
    const struct kern_ops *ops;
    enum status st = kern_select(NULL, &ops, err);
    if (st) return st;
    m->kernels = ops->name;
    machine_cpu_name(m->cpu, sizeof m->cpu);
    m->cores = machine_physical_cores();
    m->threads = d->o->threads > 0 ? (int)d->o->threads : m->cores;
    machine_limits_read(&m->limits);
    m->usable = machine_limits_usable(&m->limits);
    /* Waking a device takes the driver a while. */
    m->n_gpus = d->o->quick ? machine_gpus_listed_at("", m->gpus, DOCTOR_MAX_GPUS)
                            : machine_gpus(m->gpus, DOCTOR_MAX_GPUS);
    m->store = strdup(store_root(d->store));
    m->cache = cache_folder();
    if (!m->store) return error_set(err, ERR_NOMEM, "out of memory");
    dev_t a = 0, b = 0;
    m->store_free = disk_free(m->store, &a);
    if (m->cache) m->cache_free = disk_free(m->cache, &b);
    m->one_disk = m->cache && a == b;
    return OK;
}

static size_t all_types(const struct doctor *d, uint32_t types[ESTIMATE_MAX_TYPES])
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_models; i++) {
        const struct estimate_shape *s = &d->models[i].shape;
        for (size_t k = 0; d->models[i].has_shape && k < s->n_parts; k++) {
            size_t j = 0;
            while (j < n && types[j] != s->parts[k].type) j++;
            if (j == n && n < ESTIMATE_MAX_TYPES) types[n++] = s->parts[k].type;
        }
    }
    if (n == 0) types[n++] = QUANT_Q4_K; /* nothing to foretell, but the machine is still shown */
    return n;
}

enum status doctor_measure_machine(struct doctor *d, struct error *err)
{
    struct doctor_machine *m = &d->machine;
    uint32_t types[ESTIMATE_MAX_TYPES];
    size_t n = all_types(d, types);
    struct progress *bar = progress_start("Measuring this machine", false);
    progress_update(bar, 0, 4);
    enum status st = probe_create(m->threads, d->o->quick, &d->probe, err);
    progress_update(bar, 1, 4);
    if (!st) st = probe_measure(d->probe, types, n, d->cancel, &m->rates, err);
    progress_update(bar, 2, 4);
    if (!st && !d->o->quick) {
        m->bandwidth = machine_read_bandwidth(m->threads);
        progress_update(bar, 3, 4);
        m->int8_peak = machine_int8_ops_per_second(m->threads);
    }
    progress_update(bar, 4, 4);
    progress_end(bar);
    if (st) return st;
    /* What the kernels themselves read is a lower bound, and the only one where a plain loop had no
     * quiet moment or was not asked. */
    for (size_t i = 0; i < m->rates.n_rates; i++) {
        double r = m->rates.rates[i].read[ESTIMATE_SIZES - 1];
        if (r > m->bandwidth) m->bandwidth = r;
    }
    return OK;
}

void doctor_machine_fini(struct doctor_machine *m)
{
    free(m->store);
    free(m->cache);
}
