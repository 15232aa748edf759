/* Help texts, written from the command tables. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cli_int.h"

struct style {
    const char *bold, *name, *end;
};

static struct style style_for(FILE *out)
{
    if (!cli_color(fileno(out))) return (struct style){"", "", ""};
    return (struct style){"\033[1m", "\033[36m", "\033[0m"};
}

static int text_width(FILE *out)
{
    int columns = cli_columns(fileno(out));
    return columns > 100 ? 100 : columns < 40 ? 40 : columns;
}

/* Prints `text` broken at spaces so that lines end before `width`; the cursor stands at `indent`. */
static void print_wrapped(FILE *out, const char *text, int indent, int width)
{
    int column = indent;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > indent && column + 1 + (int)word > width) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fwrite(text, 1, word, out);
        column += (int)word;
        text += word;
        while (*text == ' ') text++;
    }
    fputc('\n', out);
}

/* Bytes of the paragraph at `text`: its lines up to an empty or an indented one. */
static size_t paragraph_length(const char *text)
{
    size_t len = strcspn(text, "\n");
    while (text[len] == '\n' && !strchr(" \n", text[len + 1])) /* also stops at the end */
        len += 1 + strcspn(text + len + 1, "\n");
    return len;
}

/* Paragraphs are broken anew to fit; indented lines (examples, tables) stay as they are. */
static void print_description(FILE *out, const char *text, int width)
{
    while (*text) {
        char paragraph[2048];
        bool verbatim = strchr(" \n", *text);
        size_t len = verbatim ? strcspn(text, "\n") : paragraph_length(text);
        if (verbatim || len >= sizeof paragraph) {
            fprintf(out, "%.*s\n", (int)len, text);
        } else {
            for (size_t i = 0; i < len; i++) paragraph[i] = text[i] == '\n' ? ' ' : text[i];
            paragraph[len] = 0;
            print_wrapped(out, paragraph, 0, width);
        }
        text += len;
        if (*text) text++;
    }
}

/* "-m, --model MODEL" into dst; returns its length. */
static int format_option(const struct option *o, char *dst, size_t cap)
{
    char letter[8] = "    ";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    bool value = o->kind != OPTION_FLAG;
    int n = snprintf(dst, cap, "%s--%s%s%s", letter, o->name, value ? " " : "",
                     !value ? "" : o->metavar ? o->metavar : "VALUE");
    return n < (int)cap ? n : (int)cap - 1;
}

static void print_options(const struct command *cmd, FILE *out, struct style s)
{
    const int widest = 30; /* longer ones get a line of their own */
    char left[80];
    int indent = (int)strlen("    -h, --help");
    for (const struct option *o = cmd->options; o && o->name; o++) {
        int n = format_option(o, left, sizeof left) + 2;
        if (n <= widest && n > indent) indent = n;
    }
    indent += 2;
    int width = text_width(out);
    fprintf(out, "\n%sOptions%s\n", s.bold, s.end);
    for (const struct option *o = cmd->options; o && o->name; o++) {
        int n = format_option(o, left, sizeof left) + 2;
        fprintf(out, "  %s%s%s", s.name, left, s.end);
        if (n + 2 > indent)
            fprintf(out, "\n%*s", indent, "");
        else
            fprintf(out, "%*s", indent - n, "");
        print_wrapped(out, o->help, indent, width);
    }
    const char *help = "-h, --help";
    fprintf(out, "  %s%s%s%*s", s.name, help, s.end, indent - 2 - (int)strlen(help), "");
    print_wrapped(out, "Show this text", indent, width);
}

void cli_help_command(const struct command *cmd, FILE *out)
{
    struct style s = style_for(out);
    fprintf(out, "%shearth %s%s: %s\n\n", s.bold, cmd->name, s.end, cmd->summary);
    fprintf(out, "%sUsage:%s hearth %s\n", s.bold, s.end, cmd->usage);
    if (cmd->description && *cmd->description) {
        fputc('\n', out);
        print_description(out, cmd->description, text_width(out));
    }
    print_options(cmd, out, s);
}

void cli_help_overview(FILE *out)
{
    struct style s = style_for(out);
    fprintf(out,
            "%sHearth%s %s: a coding assistant that runs on this machine and nowhere else\n\n"
            "%sUsage:%s hearth COMMAND [arguments]\n",
            s.bold, s.end, HEARTH_VERSION, s.bold, s.end);
    for (const struct command_group *g = cli_groups; g->title; g++) {
        if (!g->commands[0]) continue;
        fprintf(out, "\n%s%s%s\n", s.bold, g->title, s.end);
        for (size_t i = 0; g->commands[i]; i++) {
            fprintf(out, "  %s%-12s%s", s.name, g->commands[i]->name, s.end);
            print_wrapped(out, g->commands[i]->summary, 14, text_width(out));
        }
    }
    fprintf(out,
            "\n%sFirst steps%s\n"
            "  hearth pull                            fetch the default model (about 1.1 GB, once)\n"
            "  hearth complete main.c --at 12:5       the code that belongs at line 12, column 5\n"
            "  hearth help complete                   everything about one command\n"
            "\n"
            "Models live in $HEARTH_HOME, by default ~/.local/share/hearth. Only 'hearth pull' and\n"
            "'hearth verify --repair' fetch models from the network, and 'hearth serve' where --allow-pull lets\n"
            "its clients do that; 'hearth eval' fetches its tasks.\n",
            s.bold, s.end);
}
