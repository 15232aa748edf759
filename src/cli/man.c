/* The manual page, written from the command tables in the man(7) macros. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_int.h"

/* Text for roff: a backslash and a leading dot or quote would be commands, a plain dash a hyphen. */
static void put_bytes(FILE *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (i == 0 && (text[i] == '.' || text[i] == '\'')) fputs("\\&", out);
        if (text[i] == '\\')
            fputs("\\e", out);
        else if (text[i] == '-')
            fputs("\\-", out);
        else
            fputc(text[i], out);
    }
}

static void put(FILE *out, const char *text)
{
    put_bytes(out, text, strlen(text));
}

/* Paragraphs are filled, indented lines (examples, tables) stay as they are. */
static void put_description(FILE *out, const char *text)
{
    bool verbatim = false;
    fputs(".PP\n", out);
    while (*text) {
        size_t len = strcspn(text, "\n");
        if (verbatim != (*text == ' ')) fputs(verbatim ? ".fi\n" : ".nf\n", out);
        verbatim = *text == ' ';
        if (len == 0)
            fputs(".PP", out);
        else
            put_bytes(out, text, len);
        fputc('\n', out);
        text += len + (text[len] == '\n');
    }
    if (verbatim) fputs(".fi\n", out);
}

static void put_option(FILE *out, const struct option *o)
{
    fputs(".TP\n.B ", out);
    if (o->letter) {
        const char letter[] = {'-', o->letter, ',', ' ', 0};
        put(out, letter);
    }
    put(out, "--");
    put(out, o->name);
    if (o->kind != OPTION_FLAG) {
        fputs(" \\fI", out);
        put(out, o->metavar ? o->metavar : "VALUE");
        fputs("\\fP", out);
    }
    fputc('\n', out);
    put(out, o->help);
    fputc('\n', out);
}

static void put_command(const struct command *cmd, void *ctx)
{
    FILE *out = ctx;
    fputs(".SS hearth ", out);
    put(out, cmd->usage);
    fputs("\n", out);
    put(out, cmd->summary);
    fputs(".\n", out);
    if (cmd->description) put_description(out, cmd->description);
    for (const struct option *o = cmd->options; o && o->name; o++) put_option(out, o);
}

void cli_print_manual(FILE *out)
{
    fprintf(out,
            ".TH HEARTH 1 \"\" \"Hearth %s\" \"User Commands\"\n"
            ".SH NAME\n"
            "hearth \\- a coding assistant that runs on this machine and nowhere else\n"
            ".SH SYNOPSIS\n"
            ".B hearth\n"
            ".I COMMAND\n"
            "[arguments]\n"
            ".SH COMMANDS\n",
            HEARTH_VERSION);
    cli_command_each(put_command, out);
    fputs(".SH EXIT STATUS\n"
          "0 on success, 1 on failure, 2 on a usage error, 130 when interrupted.\n"
          ".SH ENVIRONMENT\n"
          ".TP\n.B HEARTH_HOME\n"
          "Folder of the models; by default \\fI$XDG_DATA_HOME/hearth\\fP, else\n"
          "\\fI~/.local/share/hearth\\fP.\n"
          ".TP\n.B NO_COLOR\nSwitches colour off.\n",
          out);
}
