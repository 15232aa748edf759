/* Symbols: what a file defines, what it refers to, and what it imports. */
#ifndef HEARTH_SYNTAX_SYMBOLS_H
#define HEARTH_SYNTAX_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

#include "syntax/chunk.h"

/* A definition. Function-local variables and parameters are none. */
struct syntax_definition {
    const char *name;
    const char *scope;     /* as in struct syntax_chunk */
    const char *signature; /* one line, "" without */
    enum syntax_kind kind;
    uint32_t line, column; /* of the name: from 1, bytes from 0 */
    uint32_t name_begin;   /* byte of the name */
    uint32_t begin, end;   /* of the whole definition, without the comment before it */
    uint32_t end_line;
};

enum syntax_reference_kind {
    SYNTAX_REF_CALL,  /* of a function, method or macro; "new X" too */
    SYNTAX_REF_TYPE,  /* a type's name in a declaration, a base class */
    SYNTAX_REF_OTHER, /* any other identifier, where asked for */
};
/* The name's last part: of "a.b.c()" it is c. */
struct syntax_reference {
    const char *name;
    enum syntax_reference_kind kind;
    uint32_t line, column, begin;
};

/* An import, include, use or require, as written: the module's name or path without quotes. */
struct syntax_import {
    const char *target;   /* "os.path", "stdio.h", "./util", "crate::a::b" */
    const char *name;     /* what is taken from it ("join" of from os.path import join), "" for all */
    const char *alias;    /* its name here where it differs, else "" */
    uint32_t line, begin, end;
};

#endif
