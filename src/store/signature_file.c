#include "store/signature_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static const char digits[] = "0123456789abcdef";

static bool from_hex(const char *hex, uint8_t *dst, size_t n)
{
    if (strlen(hex) != 2 * n || strspn(hex, digits) != 2 * n) return false;
    for (size_t i = 0; i < n; i++)
        dst[i] = (uint8_t)((strchr(digits, hex[2 * i]) - digits) << 4 |
                           (strchr(digits, hex[2 * i + 1]) - digits));
    return true;
}

static enum status take(const json_t *root, const char *path, struct signature_record *out,
                        struct error *err)
{
    const char *hex = json_string_value(json_object_get(root, "blake2b"));
    const json_t *list = json_object_get(root, "signatures");
    bool good = json_integer_value(json_object_get(root, "version")) == 1 && json_is_array(list) &&
                json_array_size(list) <= SIGNATURES_MAX &&
                (!hex || from_hex(hex, out->blake2b, BLAKE2B_BYTES));
    for (size_t i = 0; good && i < json_array_size(list); i++)
        good = json_is_string(json_array_get(list, i));
    if (!good)
        return error_set(err, ERR_FORMAT,
                         "%s is no record of signatures; delete it and add them again", path);
    out->has_blake2b = hex != NULL;
    out->texts = json_deep_copy(list);
    return out->texts ? OK : error_set(err, ERR_NOMEM, "out of memory");
}

enum status signature_record_read(const struct store *s, const char *sha256,
                                  struct signature_record *out, struct error *err)
{
    char *path;
    struct buf text;
    struct error why = {0};
    json_error_t je;
    *out = (struct signature_record){0};
    enum status st = store_path(s, STORE_SIGNATURES, sha256, &path, err);
    if (st) return st;
    snprintf(out->sha256, sizeof out->sha256, "%s", sha256);
    buf_init(&text, SIGNATURES_MAX_BYTES);
    st = file_read_regular(path, &text, &why);
    if (st == ERR_NOT_FOUND) {
        st = (out->texts = json_array()) ? OK : error_set(err, ERR_NOMEM, "out of memory");
    } else if (st) {
        error_set(err, st, "%s", why.msg);
    } else {
        json_t *root =
            json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, &je);
        st = root ? take(root, path, out, err)
                  : error_set(err, ERR_FORMAT, "%s: line %d: %s", path, je.line, je.text);
        json_decref(root);
    }
    buf_fini(&text);
    free(path);
    return st;
}

enum status signature_record_add(struct signature_record *r, const char *text, size_t len,
                                 struct error *err)
{
    json_t *j = json_stringn(text, len);
    if (!j) return error_set(err, ERR_FORMAT, "the signature is no UTF-8 text");
    for (size_t i = json_array_size(r->texts); i-- > 0;)
        if (json_equal(json_array_get(r->texts, i), j)) json_array_remove(r->texts, i);
    if (json_array_size(r->texts) >= SIGNATURES_MAX) {
        json_decref(j);
        return error_set(err, ERR_LIMIT, "the model has %d signatures already", SIGNATURES_MAX);
    }
    return json_array_insert_new(r->texts, 0, j) == 0 ? OK
                                                      : error_set(err, ERR_NOMEM, "out of memory");
}

enum status signature_record_write(const struct store *s, const struct signature_record *r,
                                   struct error *err)
{
    char *path, hex[2 * BLAKE2B_BYTES + 1] = "";
    for (size_t i = 0; r->has_blake2b && i < BLAKE2B_BYTES; i++) {
        hex[2 * i] = digits[r->blake2b[i] >> 4];
        hex[2 * i + 1] = digits[r->blake2b[i] & 15];
    }
    enum status st = store_path(s, STORE_SIGNATURES, r->sha256, &path, err);
    if (st) return st;
    json_t *root = json_pack("{s:i, s:s*, s:O}", "version", 1, "blake2b",
                             r->has_blake2b ? hex : NULL, "signatures", r->texts);
    st = root ? store_json_write(path, root, err) : error_set(err, ERR_NOMEM, "out of memory");
    json_decref(root);
    free(path);
    return st;
}

void signature_record_fini(struct signature_record *r)
{
    json_decref(r->texts);
    *r = (struct signature_record){0};
}
