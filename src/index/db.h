/* The index's database: SQLite in WAL mode, one file per generation.
 *
 * A folder holds `current`, the name of the generation in use; a rebuild fills a new file and readers of
 * the old one go on undisturbed. `lock` is held by whoever writes. `damaged` is left by a reader that met
 * a broken page; the next writer starts a new generation. */
#ifndef HEARTH_INDEX_DB_H
#define HEARTH_INDEX_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum {
    DB_VERSION = 1, /* of the schema, the tokens, and how chunks are cut: another one is a rebuild */
    DB_PAGE_BYTES = 8192,
};

struct words;

struct db {
    sqlite3 *sql;
    struct words *words; /* owned; writers only */
    char *folder; /* owned */
    int lock;     /* descriptor of the lock file, -1 for readers */
    char name[32]; /* of the generation's file */
    char before[32]; /* of the one that readers have until db_publish; "" where it is published */
};

/* ERR_NOT_FOUND where no index was ever made. */
enum status db_is_there(const char *folder, struct error *err);
/* For reading. ERR_NOT_FOUND, ERR_INTEGRITY. */
enum status db_open_reader(const char *folder, struct db *out, struct error *err);
/* For writing, made new where missing, damaged, old, or where `fresh`; *rebuilt tells that there was one.
 * In place of a sound one the new generation is seen by readers from db_publish on. ERR_BUSY while another
 * writer holds it. */
enum status db_open_writer(const char *folder, bool fresh, struct db *out, bool *rebuilt, struct error *err);
/* The same for what is there and sound: ERR_NOT_FOUND, ERR_INTEGRITY; nothing is made. */
enum status db_open_sound(const char *folder, struct db *out, struct error *err);
/* A new, empty generation in place of a damaged one; the lock stays held. */
enum status db_renew(struct db *d, struct error *err);
/* Lets readers see a generation that they do not yet. */
enum status db_publish(struct db *d, struct error *err);
void db_close(struct db *d);
/* The same, but leaves a short log as it is, for the next one to copy: copying waits for the disk. */
void db_close_soon(struct db *d);

/* The status that an SQLite code means, with a message; a reader that meets damage marks the index. */
enum status db_fail(const struct db *d, const char *what, struct error *err);
bool db_is_damage(int rc);

/* Prepares; on failure *st stays NULL. */
enum status db_prepare(const struct db *d, const char *text, sqlite3_stmt **st, struct error *err);
enum status db_exec(const struct db *d, const char *text, struct error *err);
/* One number; 0 where there is no row. */
enum status db_number(const struct db *d, const char *text, int64_t *out, struct error *err);

/* Registers the file layer that puts a checksum on every page and checks it on every read (vfs.c); its
 * name. NULL where SQLite refuses. */
const char *db_vfs(void);
/* Makes the tokenizer "hearth" known to a connection; the words of texts that are added go to `words`, too
 * (may be NULL; borrowed). SQLite's code. */
int db_add_tokenizer(sqlite3 *sql, struct words *words);

#endif
