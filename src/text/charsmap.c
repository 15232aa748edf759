#include "text/charsmap.h"

#include <string.h>

enum { MAX_KEY = 256, MAX_REPLACEMENT = 1024 };

static uint32_t get_u32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

enum status charsmap_open(struct text_str blob, struct charsmap *out, struct error *err)
{
    *out = (struct charsmap){0};
    if (blob.len == 0) return OK;
    uint32_t bytes = blob.len >= 4 ? get_u32(blob.data) : 0;
    if (blob.len < 4 || bytes >= blob.len - 4 || bytes % 4 || blob.data[blob.len - 1] != 0)
        return error_set(err, ERR_FORMAT, "the vocabulary's precompiled_charsmap is damaged");
    out->units = blob.data + 4;
    out->n_units = bytes / 4;
    out->replacements = (struct text_str){blob.data + 4 + bytes, blob.len - 4 - bytes};
    return OK;
}

/* A unit of the double array: bits 10 to 30 lead to the children (times 256 with bit 9), bit 8 says
 * that a value hangs here, bits 0 to 7 are the byte on the way here. A value has bit 31. */
static uint32_t unit_offset(uint32_t unit)
{
    return (unit >> 10) << ((unit & 0x200) >> 6);
}

size_t charsmap_match(const struct charsmap *m, const char *text, size_t len,
                      struct text_str *replacement)
{
    if (m->n_units == 0) return 0;
    if (len > MAX_KEY) len = MAX_KEY;
    uint32_t at = unit_offset(get_u32(m->units)), value = 0;
    size_t best = 0;
    for (size_t i = 0; i < len && text[i]; i++) {
        unsigned char c = (unsigned char)text[i];
        at ^= c;
        if (at >= m->n_units) break;
        uint32_t unit = get_u32(m->units + 4 * (size_t)at);
        if ((unit & 0x800000FF) != c) break;
        at ^= unit_offset(unit);
        if (!(unit & 0x100)) continue;
        if (at >= m->n_units) break;
        value = get_u32(m->units + 4 * (size_t)at) & 0x7FFFFFFF;
        best = i + 1;
    }
    if (best == 0 || value >= m->replacements.len) return 0;
    replacement->data = m->replacements.data + value;
    replacement->len = strnlen(replacement->data, MAX_REPLACEMENT);
    return best;
}
