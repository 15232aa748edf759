#include "net/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"

enum { MIN_KEY = 16, MAX_FILE = 1 << 20 };

void keys_fini(struct keys *k)
{
    free(k->items);
    *k = (struct keys){0};
}

static enum status push(struct keys *k, const char *name, size_t n_name, const uint8_t *hash,
                        struct error *err)
{
    if (k->n == KEYS_MAX) return error_set(err, ERR_LIMIT, "there are more than %d keys", KEYS_MAX);
    struct key_entry *p = realloc(k->items, (k->n + 1) * sizeof *p);
    if (!p) return error_set(err, ERR_NOMEM, "no memory for the keys");
    k->items = p;
    if (n_name >= KEYS_NAME_SIZE) n_name = KEYS_NAME_SIZE - 1;
    memset(&p[k->n], 0, sizeof *p);
    memcpy(p[k->n].name, name, n_name);
    memcpy(p[k->n++].hash, hash, SHA256_BYTES);
    return OK;
}

enum status keys_add(struct keys *k, const char *name, const char *key, struct error *err)
{
    uint8_t hash[SHA256_BYTES];
    if (strlen(key) < MIN_KEY)
        return error_set(err, ERR_INVALID,
                         "the API key has fewer than %d characters and could be guessed; `hearth "
                         "serve --make-key NAME` makes a good one",
                         MIN_KEY);
    if (sha256_of(key, strlen(key), hash) != OK)
        return error_set(err, ERR_NOMEM, "no memory for the keys");
    return push(k, name, strlen(name), hash, err);
}

static enum status parse_line(struct keys *k, const char *line, size_t len, const char *path,
                              size_t number, struct error *err)
{
    size_t from = 0;
    while (from < len && (line[from] == ' ' || line[from] == '\t')) from++;
    while (len > from && strchr(" \t\r", line[len - 1])) len--;
    if (from == len || line[from] == '#') return OK;
    size_t name = from;
    while (name < len && line[name] != ' ' && line[name] != '\t') name++;
    size_t hex = name;
    while (hex < len && (line[hex] == ' ' || line[hex] == '\t')) hex++;
    char digits[SHA256_HEX_SIZE] = "";
    uint8_t hash[SHA256_BYTES];
    if (len - hex == SHA256_HEX_SIZE - 1) memcpy(digits, line + hex, len - hex);
    if (!sha256_from_hex(digits, hash))
        return error_set(err, ERR_FORMAT,
                         "%s line %zu: expected a name and a SHA-256 in hexadecimal", path, number);
    return push(k, line + from, name - from, hash, err);
}

enum status keys_load(struct keys *k, const char *path, struct error *err)
{
    struct stat info;
    if (stat(path, &info) == 0 && (info.st_mode & (S_IWGRP | S_IWOTH)))
        return error_set(err, ERR_INVALID, "%s can be changed by other users; run: chmod 600 %s",
                         path, path);
    struct buf text;
    buf_init(&text, MAX_FILE);
    enum status st = file_read_all(path, &text, err);
    size_t number = 1;
    for (size_t at = 0; st == OK && at < text.len; number++) {
        const char *end = memchr(text.data + at, '\n', text.len - at);
        size_t n = end ? (size_t)(end - text.data) - at : text.len - at;
        st = parse_line(k, text.data + at, n, path, number, err);
        at += n + 1;
    }
    buf_fini(&text);
    return st;
}

const struct key_entry *keys_find(const struct keys *k, const char *key, size_t len)
{
    uint8_t hash[SHA256_BYTES];
    if (sha256_of(key, len, hash) != OK) return NULL;
    const struct key_entry *found = NULL;
    for (size_t i = 0; i < k->n; i++) {
        unsigned differ = 0;
        for (size_t b = 0; b < SHA256_BYTES; b++) differ |= hash[b] ^ k->items[i].hash[b];
        if (!differ) found = &k->items[i];
    }
    return found;
}

enum status keys_make(const char *name, char key[KEYS_TEXT_SIZE], char line[192], struct error *err)
{
    size_t n = strlen(name);
    if (n == 0 || n >= KEYS_NAME_SIZE || strcspn(name, " \t\r\n#") != n)
        return error_set(err, ERR_INVALID, "a key's name has 1 to %d characters and no blanks",
                         KEYS_NAME_SIZE - 1);
    uint8_t bytes[32], hash[SHA256_BYTES];
    char hex[SHA256_HEX_SIZE];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return error_set(err, ERR_IO, "the system gives no random numbers");
    sha256_hex(bytes, hex);
    snprintf(key, KEYS_TEXT_SIZE, "hearth-%s", hex);
    if (sha256_of(key, strlen(key), hash) != OK) return error_set(err, ERR_NOMEM, "out of memory");
    sha256_hex(hash, hex);
    snprintf(line, 192, "%s %s\n", name, hex);
    return OK;
}
