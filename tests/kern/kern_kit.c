#include "kern_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int failures, checks;
const struct kern_ops *kern_scalar;

static uint64_t rng_state = 88172645463325252u;

uint32_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)(rng_state >> 16);
}

float rng_float(void)
{
    return (float)(rng() & 0xffffff) / 8388608.0f - 1.0f;
}

void *alloc(size_t n)
{
    void *p = aligned_alloc(64, (n + 63) / 64 * 64 + 64);
    if (!p) exit(99);
    return p;
}

void expect(bool ok, const char *what, const char *table, const char *of, size_t a, size_t b)
{
    checks++;
    if (ok) return;
    failures++;
    if (failures < 40) printf("FAIL %s: %s %s (%zu, %zu)\n", what, table, of, a, b);
}

bool exact(const struct kern_ops *ops)
{
    return strcmp(ops->name, "sse2") != 0;
}
