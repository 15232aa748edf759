/* NVIDIA devices, without linking to anything of NVIDIA's: the driver's library is opened where it
 * is there. Its functions as in cuda.h of the CUDA driver interface. */
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "base/machine.h"

enum { MAX_PATH = 512 };

/* "Model:           NVIDIA H100 80GB HBM3" of /proc/driver/nvidia/gpus/ADDRESS/information. */
static bool read_model(const char *path, char *dst, size_t cap)
{
    FILE *f = fopen(path, "re");
    char line[256];
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        if (strncmp(line, "Model:", 6) != 0) continue;
        char *name = line + 6 + strspn(line + 6, " \t");
        name[strcspn(name, "\n")] = 0;
        snprintf(dst, cap, "%s", name);
        found = true;
    }
    if (f) fclose(f);
    return found;
}

size_t machine_gpus_listed_at(const char *root, struct machine_gpu *out, size_t max)
{
    char path[MAX_PATH];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/proc/driver/nvidia/gpus", root);
    DIR *d = opendir(path);
    struct dirent *e;
    while (d && n < max && (e = readdir(d))) {
        if (e->d_name[0] == '.' ||
            snprintf(path, sizeof path, "%s/proc/driver/nvidia/gpus/%s/information", root,
                     e->d_name) >= (int)sizeof path)
            continue;
        out[n] = (struct machine_gpu){0};
        if (read_model(path, out[n].name, sizeof out[n].name)) n++;
    }
    if (d) closedir(d);
    return n;
}

static size_t ask_cuda(void *lib, struct machine_gpu *out, size_t max)
{
    int (*init)(unsigned), (*get_count)(int *), (*get)(int *, int);
    int (*get_name)(char *, int, int), (*get_memory)(size_t *, int);
    *(void **)&init = dlsym(lib, "cuInit");
    *(void **)&get_count = dlsym(lib, "cuDeviceGetCount");
    *(void **)&get = dlsym(lib, "cuDeviceGet");
    *(void **)&get_name = dlsym(lib, "cuDeviceGetName");
    *(void **)&get_memory = dlsym(lib, "cuDeviceTotalMem_v2");
    int count = 0, device;
    if (!init || !get_count || !get || !get_name || !get_memory || init(0) || get_count(&count))
        return 0;
    size_t n = 0;
    for (int i = 0; i < count && n < max; i++) {
        size_t bytes = 0;
        out[n] = (struct machine_gpu){0};
        if (get(&device, i) || get_name(out[n].name, sizeof out[n].name, device)) continue;
        if (get_memory(&bytes, device) == 0) out[n].memory_bytes = bytes;
        n++;
    }
    return n;
}

size_t machine_gpus(struct machine_gpu *out, size_t max)
{
    void *lib = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    size_t n = lib ? ask_cuda(lib, out, max) : 0;
    /* The library keeps threads of its own once it is asked, so it stays open. */
    return n ? n : machine_gpus_listed_at("", out, max);
}
