/* Protocol Buffers' wire format, as far as reading one message's fields in order goes
 * (protobuf.dev/programming-guides/encoding). No allocation, no recursion: a nested message is the
 * bytes of its field, walked by its own reader. */
#ifndef HEARTH_CONVERT_WIRE_H
#define HEARTH_CONVERT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire {
    const unsigned char *p, *end;
    bool broken; /* the bytes are no message */
};

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;    /* of the numeric types */
    const char *bytes; /* of WIRE_BYTES, in the message */
    size_t len;
};

static inline struct wire wire_open(const char *bytes, size_t len)
{
    const unsigned char *p = (const unsigned char *)bytes;
    return (struct wire){p, p ? p + len : p, false};
}

static inline bool wire_varint(struct wire *w, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && w->p < w->end; shift += 7) {
        unsigned char c = *w->p++;
        *out |= (uint64_t)(c & 0x7F) << shift;
        if (!(c & 0x80)) return true;
    }
    w->broken = true;
    return false;
}

/* The next field; false at the end, and where the bytes are broken. */
static inline bool wire_next(struct wire *w, struct wire_field *f)
{
    uint64_t tag, len;
    if (w->broken || w->p == w->end || !wire_varint(w, &tag)) return false;
    *f = (struct wire_field){.number = (uint32_t)(tag >> 3), .type = (enum wire_type)(tag & 7)};
    if (f->type == WIRE_VARINT) return wire_varint(w, &f->value);
    if (f->type == WIRE_BYTES) {
        if (!wire_varint(w, &len)) return false;
        f->bytes = (const char *)w->p;
    } else {
        len = f->type == WIRE_FIXED64 ? 8 : f->type == WIRE_FIXED32 ? 4 : UINT64_MAX;
    }
    if (tag >> 32 || len > (uint64_t)(w->end - w->p)) {
        w->broken = true;
        return false;
    }
    for (size_t i = 0; f->type != WIRE_BYTES && i < len; i++) f->value |= (uint64_t)w->p[i] << (8 * i);
    f->len = (size_t)len;
    w->p += len;
    return true;
}

#endif
