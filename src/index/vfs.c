/* Checksums on pages: the last 8 bytes of each page of a database file hold a hash of the rest and of its
 * place, put there on writing and checked on reading. SQLite itself notices broken structure but not a
 * flipped bit in a text. Pages in the write-ahead log have SQLite's own checksums until they are copied into
 * the file, which is when they get ours. Works through the reserved bytes of the file format
 * (sqlite.org/fileformat2.html, offset 20). */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "index/db.h"

enum { SUM_BYTES = 8 };

struct sum_file {
    sqlite3_file base;
    int page; /* bytes; 0 until known */
    bool main;
    unsigned char *copy; /* of a page to be written */
    int copy_size;
    /* the real file follows */
};

static sqlite3_file *real(sqlite3_file *f) { return (sqlite3_file *)((struct sum_file *)f + 1); }

static uint64_t page_sum(const unsigned char *p, int n, sqlite3_int64 offset)
{
    uint64_t a = 0x9E3779B97F4A7C15u ^ (uint64_t)offset, b = 0xC2B2AE3D27D4EB4Fu;
    for (int i = 0; i + 16 <= n; i += 16) {
        uint64_t x, y;
        memcpy(&x, p + i, 8);
        memcpy(&y, p + i + 8, 8);
        a = (a ^ x) * 0x9FB21C651E98DF25u;
        a ^= a >> 32;
        b = (b ^ y) * 0xD6E8FEB86659FD93u;
        b ^= b >> 29;
    }
    uint64_t last = 0;
    if (n % 16) memcpy(&last, p + n - n % 16, n % 16 > 8 ? 8 : (size_t)(n % 16));
    a = (a ^ b ^ last) * 0x9FB21C651E98DF25u;
    return a ^ a >> 31;
}

static void learn_page(struct sum_file *f, const unsigned char *p, int n, sqlite3_int64 offset)
{
    if (offset != 0 || n < 100 || memcmp(p, "SQLite format 3", 16) != 0) return;
    int page = p[16] << 8 | p[17];
    f->page = p[20] == SUM_BYTES && page >= 512 ? page : 0;
}

static int sum_close(sqlite3_file *f)
{
    free(((struct sum_file *)f)->copy);
    return real(f)->pMethods->xClose(real(f));
}

static int sum_read(sqlite3_file *file, void *p, int n, sqlite3_int64 offset)
{
    struct sum_file *f = (struct sum_file *)file;
    int rc = real(file)->pMethods->xRead(real(file), p, n, offset);
    /* SQLite takes what is behind the end for zeros; in this mode it asks for no such page. */
    if (rc == SQLITE_IOERR_SHORT_READ && f->main && f->page && n == f->page && offset > 0)
        return SQLITE_IOERR_DATA;
    if (rc != SQLITE_OK || !f->main) return rc;
    learn_page(f, p, n, offset);
    if (!f->page || n != f->page || offset % n) return rc;
    uint64_t want, sum = page_sum(p, n - SUM_BYTES, offset);
    memcpy(&want, (char *)p + n - SUM_BYTES, SUM_BYTES);
    return sum == want ? SQLITE_OK : SQLITE_IOERR_DATA;
}

static int sum_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 offset)
{
    struct sum_file *f = (struct sum_file *)file;
    if (f->main) learn_page(f, p, n, offset);
    if (!f->main || !f->page || n != f->page || offset % n)
        return real(file)->pMethods->xWrite(real(file), p, n, offset);
    if (f->copy_size < n) {
        unsigned char *more = realloc(f->copy, (size_t)n);
        if (!more) return SQLITE_NOMEM;
        f->copy = more;
        f->copy_size = n;
    }
    memcpy(f->copy, p, (size_t)n - SUM_BYTES);
    uint64_t sum = page_sum(f->copy, n - SUM_BYTES, offset);
    memcpy(f->copy + n - SUM_BYTES, &sum, SUM_BYTES);
    return real(file)->pMethods->xWrite(real(file), f->copy, n, offset);
}

static int sum_truncate(sqlite3_file *f, sqlite3_int64 n) { return real(f)->pMethods->xTruncate(real(f), n); }
static int sum_sync(sqlite3_file *f, int flags) { return real(f)->pMethods->xSync(real(f), flags); }
static int sum_size(sqlite3_file *f, sqlite3_int64 *n) { return real(f)->pMethods->xFileSize(real(f), n); }
static int sum_lock(sqlite3_file *f, int l) { return real(f)->pMethods->xLock(real(f), l); }
static int sum_unlock(sqlite3_file *f, int l) { return real(f)->pMethods->xUnlock(real(f), l); }
static int sum_reserved(sqlite3_file *f, int *out) { return real(f)->pMethods->xCheckReservedLock(real(f), out); }
static int sum_control(sqlite3_file *f, int op, void *arg) { return real(f)->pMethods->xFileControl(real(f), op, arg); }
static int sum_sector(sqlite3_file *f) { return real(f)->pMethods->xSectorSize(real(f)); }
static int sum_traits(sqlite3_file *f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); }
static int sum_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
}
static int sum_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    return real(f)->pMethods->xShmLock(real(f), at, n, flags);
}
static void sum_shm_barrier(sqlite3_file *f) { real(f)->pMethods->xShmBarrier(real(f)); }
static int sum_shm_unmap(sqlite3_file *f, int remove) { return real(f)->pMethods->xShmUnmap(real(f), remove); }

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* without xFetch: mapped pages would not be checked */
    .xClose = sum_close,
    .xRead = sum_read,
    .xWrite = sum_write,
    .xTruncate = sum_truncate,
    .xSync = sum_sync,
    .xFileSize = sum_size,
    .xLock = sum_lock,
    .xUnlock = sum_unlock,
    .xCheckReservedLock = sum_reserved,
    .xFileControl = sum_control,
    .xSectorSize = sum_sector,
    .xDeviceCharacteristics = sum_traits,
    .xShmMap = sum_shm_map,
    .xShmLock = sum_shm_lock,
    .xShmBarrier = sum_shm_barrier,
    .xShmUnmap = sum_shm_unmap,
};

static int sum_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
    sqlite3_vfs *below = vfs->pAppData;
    struct sum_file *f = (struct sum_file *)file;
    memset(f, 0, sizeof *f);
    f->main = (flags & SQLITE_OPEN_MAIN_DB) != 0;
    int rc = below->xOpen(below, name, real(file), flags, out_flags);
    /* SQLite closes what has methods, even after a failure. */
    if (rc == SQLITE_OK) f->base.pMethods = &methods;
    return rc;
}

static sqlite3_vfs vfs_object;
static const char *vfs_name;

static void register_once(void)
{
    sqlite3_vfs *below = sqlite3_vfs_find(NULL);
    if (!below) return;
    vfs_object = *below;
    vfs_object.zName = "hearth-sums";
    vfs_object.pNext = NULL;
    vfs_object.pAppData = below;
    vfs_object.szOsFile = (int)sizeof(struct sum_file) + below->szOsFile;
    vfs_object.xOpen = sum_open;
    if (sqlite3_vfs_register(&vfs_object, 0) == SQLITE_OK) vfs_name = vfs_object.zName;
}

const char *db_vfs(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_once);
    return vfs_name;
}
