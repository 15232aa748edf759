#include "kern/kern.h"

#include <stdlib.h>
#include <string.h>

#include "kern/cpu/cpu_tables.h"

/* Best first. */
static const struct {
    const struct kern_ops *ops;
    bool (*usable)(void);
} tables[] = {
#if defined(__x86_64__)
    {&kern_ops_avx512, cpu_has_avx512},
    {&kern_ops_avxvnni, cpu_has_avxvnni},
    {&kern_ops_avx2, cpu_has_avx2},
#endif
    {&kern_ops_sse2, cpu_always},
    {&kern_ops_scalar, cpu_always},
};
enum { N_TABLES = sizeof tables / sizeof tables[0] };

size_t kern_attn_scratch_bytes(size_t head_dim, size_t v_dim)
{
    /* A page's keys and values, queries and outputs as floats. */
    size_t floats = head_dim + (v_dim ? v_dim : head_dim);
    return KERN_ATTN_STATE_BYTES + (KERN_KV_PAGE + KERN_ATTN_MAX_Q) * floats * sizeof(float);
}

size_t kern_available(const struct kern_ops **out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < N_TABLES && n < max; i++)
        if (tables[i].usable()) out[n++] = tables[i].ops;
    return n;
}

enum status kern_select(const char *force, const struct kern_ops **out, struct error *err)
{
    if (!force) force = getenv("HEARTH_CPU");
    for (size_t i = 0; i < N_TABLES; i++) {
        if (force && *force && strcmp(force, tables[i].ops->name) != 0) continue;
        if (tables[i].usable()) {
            *out = tables[i].ops;
            return OK;
        }
        if (force && *force)
            return error_set(err, ERR_UNSUPPORTED,
                             "this CPU cannot run the \"%s\" kernels; unset HEARTH_CPU", force);
    }
    return error_set(err, ERR_UNSUPPORTED,
                     "HEARTH_CPU=%s names no kernels; use avx512, avxvnni, avx2, sse2 or scalar",
                     force);
}
