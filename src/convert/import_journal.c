/* What an interrupted import has done. A line is worth something only where the tensor's bytes
 * still have its digest, so that nothing has to be synced while it grows.
 *
 *   hearth-import 1 IDENTITY
 *   NUMBER SHA256 MAX-ERROR SUM-ERROR2 SUM2       (the last three in %a)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "convert/import_int.h"

enum { MAX_JOURNAL = 256 << 20 };

static void read_line(const char *line, struct import_done *done, size_t n)
{
    char digest[SHA256_HEX_SIZE];
    uint8_t bin[SHA256_BYTES];
    size_t i;
    double a, b, c;
    int end = 0;
    if (sscanf(line, "%zu %64s %la %la %la%n", &i, digest, &a, &b, &c, &end) != 5 || line[end] ||
        i >= n || !sha256_from_hex(digest, bin))
        return;
    done[i] = (struct import_done){.done = true, .max_error = a, .sum_error2 = b, .sum2 = c};
    memcpy(done[i].digest, digest, sizeof digest);
}

/* False where it is not this import's. */
static bool read_journal(const char *path, const char *identity, struct import_done *done, size_t n)
{
    struct buf text;
    char want[SHA256_HEX_SIZE + 32];
    bool same = false;
    buf_init(&text, MAX_JOURNAL);
    snprintf(want, sizeof want, "hearth-import 1 %s", identity);
    if (file_exists(path) && file_read_all(path, &text, NULL) == OK && text.len) {
        char *save = NULL, *line = strtok_r(text.data, "\n", &save);
        same = line && strcmp(line, want) == 0;
        while (same && (line = strtok_r(NULL, "\n", &save))) read_line(line, done, n);
    }
    buf_fini(&text);
    return same;
}

enum status import_journal_open(struct import_journal *j, const char *path, const char *identity,
                                bool resumed, struct import_done *done, size_t n, struct error *err)
{
    bool go_on = resumed && read_journal(path, identity, done, n);
    *j = (struct import_journal){.path = strdup(path)};
    if (!j->path) return error_set(err, ERR_NOMEM, "out of memory");
    j->file = fopen(path, go_on ? "ae" : "we");
    if (!j->file) return error_set(err, ERR_IO, "cannot create %s: %s", path, strerror(errno));
    /* A killed writer may have left half a line; "\n" ends it, and an empty line says nothing. */
    int rc = go_on ? fprintf(j->file, "\n") : fprintf(j->file, "hearth-import 1 %s\n", identity);
    if (rc < 0 || fflush(j->file) != 0)
        return error_set(err, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    return OK;
}

enum status import_journal_add(struct import_journal *j, size_t i, const char *digest,
                               const struct import_tensor *t, struct error *err)
{
    if (fprintf(j->file, "%zu %s %a %a %a\n", i, digest, t->max_error, t->sum_error2, t->sum2) <
            0 ||
        fflush(j->file) != 0)
        return error_set(err, ERR_IO, "cannot write %s: %s", j->path, strerror(errno));
    return OK;
}

void import_journal_close(struct import_journal *j)
{
    if (j->file) fclose(j->file);
    free(j->path);
    *j = (struct import_journal){0};
}
