/* The registry of languages: which one a file is written in, and what its grammar calls things.
 *
 * A language is its file src/syntax/lang_NAME.c and one line in language.c. Objects live as long as
 * the program; every function here may be called from any thread. */
#ifndef HEARTH_SYNTAX_LANGUAGE_H
#define HEARTH_SYNTAX_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>

struct syntax_language;

/* In the order of the registry; NULL past the end. */
const struct syntax_language *syntax_language_at(size_t i);
/* By its name ("cpp") or another that people use in fences ("c++", "py", "ts"); letter case does not
 * matter. NULL where there is none. */
const struct syntax_language *syntax_language_find(const char *name, size_t len);
/* By the path's last component: a whole name ("Makefile.toml" by extension, ".bashrc" by name), else
 * the extension; else by the first line of the file where it is an interpreter line ("#!/usr/bin/env
 * python3"). `head` is the file's beginning (256 bytes are enough), or NULL. NULL for a text in no
 * language of the registry: chunks of it come from the plain splitter. */
const struct syntax_language *syntax_language_of(const char *path, const char *head, size_t len);

/* Lower case, one word: "c", "csharp", "tsx". */
const char *syntax_language_name(const struct syntax_language *l);
/* What begins a comment to the end of the line: "//", "#", "--"; NULL where the language has none. */
const char *syntax_language_line_comment(const struct syntax_language *l);
/* False in builds with -Dgrammars=disabled: nothing parses then, all is split plainly. */
bool syntax_language_has_grammar(const struct syntax_language *l);

#endif
