/* The framing of messages: header fields, an empty line, a body of Content-Length bytes. Pure. */
#ifndef HEARTH_LSP_LSP_FRAME_H
#define HEARTH_LSP_LSP_FRAME_H

#include <stddef.h>

enum { LSP_MAX_BODY = 64 << 20, LSP_MAX_HEAD = 8 << 10 };

enum lsp_frame {
    LSP_FRAME_MORE, /* no whole message yet */
    LSP_FRAME_DONE,
    LSP_FRAME_TOO_LONG, /* the head is fine, but the body is longer than LSP_MAX_BODY */
    LSP_FRAME_WRONG,    /* what follows cannot be read */
};

/* Looks at the beginning of [data, data+len). *head and *body are the two lengths: set with DONE and
 * TOO_LONG, and with MORE where the head is whole (else both 0). */
enum lsp_frame lsp_frame_read(const char *data, size_t len, size_t *head, size_t *body);

#endif
