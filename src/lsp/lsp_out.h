/* The way out: messages are queued, and a thread of its own writes them, so that a client that does not
 * read never holds up the server's reading. Any thread. */
#ifndef HEARTH_LSP_LSP_OUT_H
#define HEARTH_LSP_LSP_OUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct lsp_out;

enum status lsp_out_open(int fd, struct lsp_out **out, struct error *err);
/* Queues a body with its header. Past 256 MB unread, or once the other side is gone, it is dropped. */
void lsp_out_send(struct lsp_out *o, const char *body, size_t len);
bool lsp_out_broken(struct lsp_out *o);
/* Writes what is queued, for a second at most, and ends the thread. */
void lsp_out_close(struct lsp_out *o);

#endif
