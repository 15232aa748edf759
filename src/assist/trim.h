/* What belongs in the hole: rules that end a completion while it is generated and clean it up
 * afterwards. Pure functions over the text around the hole and the text generated so far.
 *
 * Models fill a hole and then often go on: they repeat what follows, close brackets that are closed
 * already, or begin the next function. Every rule has a name, so that a caller can tell why a text
 * ended where it did; docs/completion.md explains each. */
#ifndef HEARTH_ASSIST_TRIM_H
#define HEARTH_ASSIST_TRIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trim_mode {
    TRIM_AUTO,   /* decide by what stands around the hole */
    TRIM_SINGLE, /* only the cursor's line */
    TRIM_MULTI,  /* as many lines as the rules let through */
    TRIM_RAW,    /* no rule but whole UTF-8 characters */
};

enum trim_rule {
    TRIM_NONE,
    TRIM_LINE_END,       /* a single-line hole ended with its line */
    TRIM_SUFFIX_LINE,    /* the line below the hole came again */
    TRIM_SUFFIX_OVERLAP, /* the end repeated the rest of the cursor's line */
    TRIM_DEDENT,         /* a line is indented less than the hole */
    TRIM_BLOCK_END,      /* the block that the hole fills was left */
    TRIM_STATEMENT,      /* a one-line hole inside a block: later lines never met the text below */
    TRIM_BLANK_LINES,    /* two blank lines after text */
    TRIM_REPEAT,         /* the same lines, or the same piece of a line, again and again */
    TRIM_BRACKETS,       /* brackets closed that the text below closes */
    TRIM_BAD_BYTES,      /* bytes that are no UTF-8 */
    TRIM_RUN_ON,         /* a code fence, or a comment that begins something else */
    TRIM_SYNTAX,         /* more of it would not parse (parse.h; no rule of trim_scan) */
};

/* "line_end", ...; "none" for TRIM_NONE. */
const char *trim_rule_name(enum trim_rule rule);

/* The hole's surroundings. Texts are borrowed; line ends are \n. */
struct trim_hole {
    const char *prefix, *suffix;
    size_t prefix_len, suffix_len;
    enum trim_mode mode; /* resolved: never TRIM_AUTO */
    bool one_statement;  /* TRIM_STATEMENT applies */
    const char *line;    /* the cursor's line up to the cursor */
    size_t line_len;
    bool line_blank;
    const char *rest; /* the cursor's line after it, without its end */
    size_t rest_len;
    bool rest_blank;
    const char *above; /* last line with text before the cursor's; NULL if none */
    size_t above_len;
    int above_indent;  /* -1 if none */
    const char *below; /* first line with text after the cursor's; NULL if none */
    size_t below_len;
    int below_indent;  /* columns, a tab to the next multiple of 8; -1 if none */
    int floor;         /* lines indented less lie outside; -1 = the first generated tells */
    bool has_blanks;   /* blanks in front of the completion are there already */
    int opener_indent; /* of the line whose block the hole fills, or -1 */
    bool opener_brace; /* that block ends with a closing bracket */
    bool one_line;     /* TRIM_SINGLE was asked for: nothing but the cursor's line */
    bool far;          /* trim_look_far */
    const char *next;  /* the line with text that tells that the text below came; NULL if none */
    size_t next_len;
};

/* Looks at the texts around the hole. */
void trim_hole_init(struct trim_hole *h, const char *prefix, size_t prefix_len, const char *suffix,
                    size_t suffix_len, enum trim_mode mode);

/* The same hole for a longer look: rules that end a text where a hole usually ends (the line, the
 * statement, the block) let it go on until the text behind the hole came again, with the next line
 * of it too where there is one, or until it clearly lies outside, or for TRIM_FAR_LINES. For holes
 * with text behind them; for others, and where one line was asked for, it is a copy. */
enum { TRIM_FAR_LINES = 12 };
void trim_look_far(const struct trim_hole *h, struct trim_hole *out);

/* text[skip .. keep) belongs in the hole. */
struct trim_cut {
    enum trim_rule rule; /* TRIM_NONE: nothing was cut but blanks at both ends */
    size_t skip;         /* blanks in front that the cursor's line has already */
    size_t keep;         /* >= skip */
};

/* While generating: whether a rule ends the hole within `text`, whose last line may be incomplete.
 * More text after a cut never changes it. */
struct trim_cut trim_scan(const struct trim_hole *h, const char *text, size_t len);

/* The text is complete. `ended`: the model said itself that the hole is full. */
struct trim_cut trim_finish(const struct trim_hole *h, const char *text, size_t len, bool ended);

/* Length of the longest prefix of the text that is whole, valid UTF-8 (no surrogates, no overlong
 * forms, at most U+10FFFF). */
size_t trim_utf8_prefix(const char *text, size_t len);

#endif
