/* What a file without GGUF's signature seems to be, so that the message can say what to do. */
#include <string.h>
#include <strings.h>

#include "gguf/gguf_int.h"

struct signature {
    const char *bytes;
    size_t len;
    const char *what; /* completes "FILE is not a GGUF model: it ..." */
};

#define SIGNATURE(bytes, what)                                                                     \
    {                                                                                              \
        bytes, sizeof bytes - 1, what                                                              \
    }

static const struct signature signatures[] = {
    SIGNATURE("version https://git-lfs",
              "is a Git LFS pointer, not the model itself; run 'git lfs pull' "
              "in its folder"),
    SIGNATURE("PK\x03\x04",
              "is a zip archive, perhaps a PyTorch checkpoint; convert the model to GGUF, "
              "or unpack the archive if a model is in it"),
    SIGNATURE("\x80\x02",
              "is a Python pickle, perhaps a PyTorch checkpoint; convert the model to GGUF"),
    SIGNATURE("lmgg", "is in a format older than GGUF; download the model as GGUF"),
    SIGNATURE("fmgg", "is in a format older than GGUF; download the model as GGUF"),
    SIGNATURE("tjgg", "is in a format older than GGUF; download the model as GGUF"),
    SIGNATURE("algg", "is in a format older than GGUF; download the model as GGUF"),
    SIGNATURE("\x1f\x8b", "is compressed with gzip; unpack it first"),
    SIGNATURE("\xfd"
              "7zXZ",
              "is compressed with xz; unpack it first"),
    SIGNATURE("BZh", "is compressed with bzip2; unpack it first"),
    SIGNATURE("\x28\xb5\x2f\xfd", "is compressed with zstd; unpack it first"),
    SIGNATURE("7z\xbc\xaf", "is a 7z archive; unpack it first"),
    SIGNATURE("\x7f"
              "ELF",
              "is a program"),
};

static bool has_tag(const char *text, size_t len, const char *tag)
{
    size_t n = strlen(tag);
    for (size_t i = 0; i + n <= len; i++)
        if (strncasecmp(text + i, tag, n) == 0) return true;
    return false;
}

static bool is_text(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] < 0x20 && !strchr("\t\n\r\f", p[i])) return false;
    return !memchr(p, 0, n);
}

static bool is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i]) return false;
    return true;
}

/* safetensors: the length of a JSON object, then the object. */
static bool is_safetensors(const uint8_t *p, uint64_t size)
{
    return size > 9 && p[8] == '{' && gguf_load_u64(p) <= size - 8;
}

static const char *describe(const uint8_t *p, uint64_t size)
{
    if (size == 0) return "is empty; download it again";
    for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++)
        if (size >= signatures[i].len && memcmp(p, signatures[i].bytes, signatures[i].len) == 0)
            return signatures[i].what;
    if (is_safetensors(p, size)) return "is a safetensors file; convert the model to GGUF";
    size_t sample = size < 512 ? (size_t)size : 512;
    if (is_zero(p, sample))
        return "begins with zeros: the download made room for it but did not fill it; download it "
               "again";
    if (!is_text(p, sample))
        return "lacks the format's signature; check that this is the right file";
    if (has_tag((const char *)p, sample, "<html") || has_tag((const char *)p, sample, "<!doctype"))
        return "is a web page: the server answered the download with a message; open the file to "
               "read "
               "it, then download the model again";
    if (has_tag((const char *)p, sample, "{")) return "is text, perhaps JSON; name the .gguf file";
    return "is a text file; name the .gguf file";
}

enum status gguf_not_a_model(const struct gguf_shard *shard, struct error *err)
{
    return error_set(err, ERR_FORMAT, "%s is not a GGUF model: it %s", shard->path,
                     describe(shard->map.data, shard->map.size));
}
