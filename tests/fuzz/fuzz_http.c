/* Heads and chunked bodies of HTTP requests, whole and in two pieces: the same verdict either way.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/http_parse.h"
#include "net/origin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum http_parse chunks(const uint8_t *data, size_t size, size_t cut, char *out,
                              size_t *n_out)
{
    struct http_chunks c = {0};
    enum http_parse p = HTTP_PARSE_MORE;
    *n_out = 0;
    for (size_t at = 0; p == HTTP_PARSE_MORE && at < size;) {
        size_t n = at < cut ? cut - at : size - at, body = 0, used = 0;
        const char *reason = NULL;
        char *copy = malloc(n);
        if (!copy) return p;
        memcpy(copy, data + at, n);
        p = http_chunks_feed(&c, copy, n, &body, &used, &reason);
        if (p != HTTP_PARSE_WRONG) {
            if (body > n || used > n) abort();
            memcpy(out + *n_out, copy, body);
            *n_out += body;
            at += used;
        } else if (!reason)
            abort();
        free(copy);
    }
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 65536) return 0;
    size_t cut = data[0] % size, used = 0;
    const char *reason = NULL;
    int code = 0;
    data++;
    size--;
    static struct http_head h;
    if (http_parse_head((const char *)data, size, &h, &used, &code, &reason) == HTTP_PARSE_DONE) {
        struct origin_rules rules = {0};
        char *path = malloc(h.path.len + 1);
        if (used > size || (h.chunked && h.has_length) || !path) abort();
        http_percent_decode(h.path.data, h.path.len, path);
        origin_host_allowed(&rules, h.host);
        origin_allowed(&rules, http_head_find(&h, "origin"), h.host);
        free(path);
    } else if (code && !reason)
        abort();
    char *one = malloc(size), *two = malloc(size);
    size_t n_one, n_two;
    if (one && two) {
        enum http_parse a = chunks(data, size, size, one, &n_one),
                        b = chunks(data, size, cut, two, &n_two);
        if (a != b || (a == HTTP_PARSE_DONE && (n_one != n_two || memcmp(one, two, n_one) != 0)))
            abort();
    }
    free(one);
    free(two);
    return 0;
}
