/* Weights move from the mapped cache file into huge pages.
 *
 * A mapped file has pages of 4 KB: a token of a 1.5B model walks the page table a quarter of a million
 * times, behind a hypervisor in two dimensions, and decode gets 5 to 8 % less of the memory's bandwidth.
 * Anonymous memory has pages of 2 MB. But copying takes time, which a model's first answer does not
 * have; so the file is used at once and left piece by piece. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/machine.h"
#include "model/model_int.h"

#define PIECE_BYTES ((uint64_t)4 << 20)
#define HUGE_PAGE   ((uint64_t)2 << 20)

static struct weight *weight_at(struct model *m, size_t i)
{
    return &m->stages[i / STAGE_MATRICES].w[i % STAGE_MATRICES];
}

/* Past weights that no cache file holds. */
static void skip_absent(struct model *m)
{
    struct settle *s = &m->settle;
    while (s->at < m->n_stages * STAGE_MATRICES && !weight_at(m, s->at)->src) s->at++;
}

static bool worth_it(const struct model *m)
{
    struct machine_limits l;
    machine_limits_read(&l);
    uint64_t usable = machine_limits_usable(&l);
    return m->packed_bytes >= 16 * HUGE_PAGE && l.huge_pages[0] &&
           strcmp(l.huge_pages, "never") != 0 && usable / 2 > m->packed_bytes;
}

static bool begin(struct model *m)
{
    struct settle *s = &m->settle;
    if (s->begun) return s->to != NULL;
    s->begun = true;
    if (!m->packed_mapped || !(s->forced || worth_it(m))) return false;
    s->bytes = (m->packed_bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *map = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) return false;
    (void)madvise(map, s->bytes, MADV_HUGEPAGE);
    s->to = map;
    skip_absent(m);
    return true;
}

bool model_settle_copy(struct model *m)
{
    struct settle *s = &m->settle;
    if (!begin(m) || s->ready || s->at == m->n_stages * STAGE_MATRICES) return s->ready;
    const struct weight *w = weight_at(m, s->at);
    uint64_t bytes = (uint64_t)w->part_bytes * w->n_parts, left = bytes - s->copied;
    uint64_t n = left < PIECE_BYTES ? left : PIECE_BYTES;
    memcpy(s->to + (w->mat.data - m->packed) + s->copied, w->mat.data + s->copied, n);
    s->copied += n;
    s->ready = s->copied == bytes;
    return true;
}

bool model_settle_ready(const struct model *m)
{
    return m->settle.ready;
}

/* Of the old mapping, the whole pages among these bytes. */
static void release(const uint8_t *data, uint64_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)data + page - 1) & ~(page - 1);
    uintptr_t to = ((uintptr_t)data + bytes) & ~(page - 1);
    if (to > from) (void)madvise((void *)from, to - from, MADV_DONTNEED);
}

/* Nothing reads the file any more. */
static void finish(struct model *m)
{
    struct settle *s = &m->settle;
    (void)munmap(m->packed_map, m->packed_map_bytes);
    (void)mprotect(s->to, s->bytes, PROT_READ);
    m->packed = s->to;
    m->packed_map = s->to;
    m->packed_map_bytes = s->bytes;
    m->packed_mapped = false;
    s->to = NULL;
}

void model_settle_use(struct model *m)
{
    struct settle *s = &m->settle;
    if (!s->ready) return;
    struct weight *w = weight_at(m, s->at);
    const uint8_t *old = w->mat.data;
    w->mat.data = s->to + (old - m->packed);
    release(old, (uint64_t)w->part_bytes * w->n_parts);
    s->ready = false;
    s->copied = 0;
    s->at++;
    skip_absent(m);
    if (s->at == m->n_stages * STAGE_MATRICES) finish(m);
}
