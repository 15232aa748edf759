/* hearth completion SHELL: scripts for bash, zsh and fish, written from the command tables.
 *
 * Model names are looked up when a person presses Tab, through `hearth completion models`. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_int.h"
#include "store/store.h"

/* What may stand where a metavar stands: "FILE", "FILE|-", "bash|zsh|fish", "MODEL...". */
struct operand {
    bool files, dirs, models, installed, commands; /* models: installed, known, or a file */
    char words[128]; /* literal choices, separated by spaces */
};

static void add_operand_word(struct operand *o, const char *word, size_t len)
{
    static const struct {
        const char *name;
        size_t offset;
    } kinds[] = {
        {"FILE", offsetof(struct operand, files)},
        {"DIR", offsetof(struct operand, dirs)},
        {"MODEL", offsetof(struct operand, models)},
        {"INSTALLED", offsetof(struct operand, installed)},
        {"COMMAND", offsetof(struct operand, commands)},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strlen(kinds[i].name) == len && memcmp(kinds[i].name, word, len) == 0) {
            *(bool *)((char *)o + kinds[i].offset) = true;
            return;
        }
    /* A literal choice is written in lower case; "N" or "LINE:COL" is only a name for people. */
    for (size_t i = 0; i < len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", word[i]) || len == 1) return;
    size_t used = strlen(o->words);
    if (used + len + 2 > sizeof o->words) return;
    snprintf(o->words + used, sizeof o->words - used, "%s%.*s", used ? " " : "", (int)len, word);
}

static struct operand parse_metavar(const char *metavar)
{
    struct operand o = {0};
    for (const char *s = metavar; s && *s;) {
        size_t len = strcspn(s, "|.[] ");
        if (len) add_operand_word(&o, s, len);
        s += len;
        if (*s) s++;
    }
    return o;
}

static const char *metavar_of(const struct option *o)
{
    return o->metavar ? o->metavar : "VALUE";
}

/* Prints text inside single quotes of a shell; every character of `escape` gets a backslash. */
static void quote_part(const char *text, const char *escape, const char *quote)
{
    for (; *text; text++) {
        if (*text == '\'') {
            fputs(quote, stdout);
            continue;
        }
        if (strchr(escape, *text)) putchar('\\');
        putchar(*text);
    }
}

/* ---- bash ---------------------------------------------------------------------------------- */

static void bash_kinds(struct operand o)
{
    if (o.files) printf(" files");
    if (o.dirs) printf(" dirs");
    if (o.models) printf(" models");
    if (o.installed) printf(" installed");
    if (o.commands) printf(" commands");
    if (o.words[0]) printf(" %s", o.words);
}

static void bash_command(const struct command *cmd, void *ctx)
{
    (void)ctx;
    printf("    %s)\n        options='--help", cmd->name);
    for (const struct option *o = cmd->options; o && o->name; o++) printf(" --%s", o->name);
    printf("'\n        operands='");
    bash_kinds(parse_metavar(cmd->arg_metavar));
    printf("'\n        case $option in\n");
    for (const struct option *o = cmd->options; o && o->name; o++) {
        if (o->kind == OPTION_FLAG) continue;
        printf("        --%s", o->name);
        if (o->letter) printf(" | -%c", o->letter);
        printf(") operands='");
        bash_kinds(parse_metavar(o->metavar));
        printf("' value=1 ;;\n");
    }
    printf("        esac ;;\n");
}

static void print_name(const struct command *cmd, void *ctx)
{
    (void)ctx;
    printf(" %s", cmd->name);
}

static void print_bash(void)
{
    printf("%s", "# bash completion for hearth, printed by `hearth completion bash`.\n"
           "_hearth() {\n"
           "    local line=${COMP_LINE:0:COMP_POINT} words cur prev command option options operands\n"
           "    local value= kind reply=() i\n"
           "    # Not COMP_WORDS: that splits model names at their colon.\n"
           "    read -ra words <<<\"$line\"\n"
           "    cur=\n"
           "    [[ $line != *[[:space:]] ]] && cur=${words[-1]} && unset 'words[-1]'\n"
           "    command= prev=\n"
           "    [[ ${#words[@]} -gt 1 ]] && command=${words[1]} && prev=${words[-1]}\n"
           "    option=$prev\n"
           "    [[ $cur == --*=* ]] && option=${cur%%=*} cur=${cur#*=}\n"
           "    options= operands=\n"
           "    case $command in\n"
           "    '') options='--help --version' operands=commands ;;\n");
    cli_command_each(bash_command, NULL);
    printf("%s", "    esac\n"
           "    if [[ $cur == -* && -z $value ]]; then\n"
           "        reply=($(compgen -W \"$options\" -- \"$cur\"))\n"
           "    else\n"
           "        for kind in $operands; do\n"
           "            case $kind in\n"
           "            files) compopt -o filenames; mapfile -t -O ${#reply[@]} reply "
           "< <(compgen -f -- \"$cur\") ;;\n"
           "            dirs) compopt -o filenames; mapfile -t -O ${#reply[@]} reply "
           "< <(compgen -d -- \"$cur\") ;;\n"
           "            models) mapfile -t -O ${#reply[@]} reply "
           "< <(compgen -W \"$(hearth completion models 2>/dev/null)\" -- \"$cur\";\n"
           "                compgen -f -X '!*.gguf' -- \"$cur\"; compgen -d -S / -- \"$cur\")\n"
           "                compopt -o nospace 2>/dev/null ;;\n"
           "            installed) mapfile -t -O ${#reply[@]} reply "
           "< <(compgen -W \"$(hearth completion installed 2>/dev/null)\" -- \"$cur\") ;;\n"
           "            commands) reply+=($(compgen -W '");
    cli_command_each(print_name, NULL);
    printf("%s", "' -- \"$cur\")) ;;\n"
           "            *) reply+=($(compgen -W \"$kind\" -- \"$cur\")) ;;\n"
           "            esac\n"
           "        done\n"
           "    fi\n"
           "    # Bash replaces only what follows the last colon.\n"
           "    local kept=${cur%\"${cur##*:}\"}\n"
           "    [[ $COMP_WORDBREAKS != *:* ]] && kept=\n"
           "    COMPREPLY=()\n"
           "    for i in \"${reply[@]}\"; do COMPREPLY+=(\"${i#\"$kept\"}\"); done\n"
           "}\n"
           "complete -F _hearth hearth\n");
}

/* ---- zsh ----------------------------------------------------------------------------------- */

#define ZSH_QUOTE "'\\''"

/* The action part of an _arguments spec. */
static void zsh_action(struct operand o)
{
    if (o.models)
        printf("_hearth_models");
    else if (o.installed)
        printf("_hearth_installed");
    else if (o.commands)
        printf("_hearth_commands");
    else if (o.files)
        printf("_files");
    else if (o.dirs)
        printf("_files -/");
    else if (o.words[0])
        printf("(%s)", o.words);
    else
        printf(" ");
}

static void zsh_option(const struct option *o)
{
    bool value = o->kind != OPTION_FLAG;
    const char *again = o->kind == OPTION_LIST ? "*" : "";
    printf(" \\\n            ");
    if (o->letter)
        printf("'%s(-%c --%s)'{-%c%s,--%s%s}'[", again, o->letter, o->name, o->letter,
               value ? "+" : "", o->name, value ? "=" : "");
    else
        printf("'%s--%s%s[", again, o->name, value ? "=" : "");
    quote_part(o->help, "[]\\", ZSH_QUOTE);
    printf("]");
    if (value) {
        printf(":");
        quote_part(metavar_of(o), ":\\", ZSH_QUOTE);
        printf(":");
        zsh_action(parse_metavar(o->metavar));
    }
    printf("'");
}

static void zsh_command(const struct command *cmd, void *ctx)
{
    (void)ctx;
    printf("        %s)\n            _arguments -s \\\n            '(-h --help)'{-h,--help}'[Show help]'",
           cmd->name);
    for (const struct option *o = cmd->options; o && o->name; o++) zsh_option(o);
    if (cmd->max_args != 0) {
        printf(" \\\n            '*:");
        quote_part(cmd->arg_metavar ? cmd->arg_metavar : "argument", ":\\", ZSH_QUOTE);
        printf(":");
        zsh_action(parse_metavar(cmd->arg_metavar));
        printf("'");
    }
    printf(" ;;\n");
}

static void zsh_summary(const struct command *cmd, void *ctx)
{
    (void)ctx;
    printf("        '%s:", cmd->name);
    quote_part(cmd->summary, ":\\", ZSH_QUOTE);
    printf("'\n");
}

static void print_zsh(void)
{
    printf("%s", "#compdef hearth\n"
           "# zsh completion for hearth, printed by `hearth completion zsh`.\n"
           "_hearth_models() {\n"
           "    local -a models\n"
           "    models=(${(f)\"$(hearth completion models 2>/dev/null)\"})\n"
           "    _alternative 'models:model:compadd -a models' 'files:GGUF file:_files -g \"*.gguf\"'\n"
           "}\n"
           "_hearth_installed() {\n"
           "    local -a models\n"
           "    models=(${(f)\"$(hearth completion installed 2>/dev/null)\"})\n"
           "    _alternative 'models:installed model:compadd -a models'\n"
           "}\n"
           "_hearth_commands() {\n"
           "    local -a commands\n"
           "    commands=(\n");
    cli_command_each(zsh_summary, NULL);
    printf("%s", "    )\n"
           "    _describe -t commands command commands\n"
           "}\n"
           "_hearth() {\n"
           "    local curcontext=$curcontext state line\n"
           "    typeset -A opt_args\n"
           "    _arguments -C '(- *)'{-h,--help}'[Show help]' '(- *)'{-V,--version}'[Show the version]' \\\n"
           "        '1:command:_hearth_commands' '*::argument:->arguments'\n"
           "    [[ $state == arguments ]] || return\n"
           "    case $words[1] in\n");
    cli_command_each(zsh_command, NULL);
    printf("%s", "    esac\n"
           "}\n"
           "if [[ $funcstack[1] == _hearth ]]; then _hearth \"$@\"; else compdef _hearth hearth; fi\n");
}

/* ---- fish ---------------------------------------------------------------------------------- */

static void fish_operand(struct operand o)
{
    if (o.files || o.models) printf(" -F");
    if (o.dirs) printf(" -a '(__fish_complete_directories)'");
    if (o.models) printf(" -a '(hearth completion models 2>/dev/null)'");
    if (o.installed) printf(" -a '(hearth completion installed 2>/dev/null)'");
    if (o.commands) {
        printf(" -a '");
        cli_command_each(print_name, NULL);
        printf("'");
    }
    if (o.words[0]) printf(" -a '%s'", o.words);
}

static void fish_command(const struct command *cmd, void *ctx)
{
    (void)ctx;
    printf("complete -c hearth -n __fish_use_subcommand -a %s -d '", cmd->name);
    quote_part(cmd->summary, "\\", "\\'");
    printf("'\n");
    for (const struct option *o = cmd->options; o && o->name; o++) {
        printf("complete -c hearth -n '__fish_seen_subcommand_from %s' -l %s", cmd->name, o->name);
        if (o->letter) printf(" -s %c", o->letter);
        if (o->kind != OPTION_FLAG) {
            struct operand operand = parse_metavar(o->metavar);
            printf(operand.files || operand.models ? " -r" : " -x");
            fish_operand(operand);
        }
        printf(" -d '");
        quote_part(o->help, "\\", "\\'");
        printf("'\n");
    }
    struct operand operand = parse_metavar(cmd->arg_metavar);
    if (operand.files || operand.dirs || operand.models || operand.installed ||
        operand.commands || operand.words[0]) {
        printf("complete -c hearth -n '__fish_seen_subcommand_from %s'", cmd->name);
        fish_operand(operand);
        printf("\n");
    }
}

static void print_fish(void)
{
    printf("# fish completion for hearth, printed by `hearth completion fish`.\n"
           "complete -c hearth -f\n"
           "complete -c hearth -s h -l help -d 'Show help'\n"
           "complete -c hearth -n __fish_use_subcommand -s V -l version -d 'Show the version'\n");
    cli_command_each(fish_command, NULL);
}

/* ---- the command --------------------------------------------------------------------------- */

/* Installed models, and with `known` those of the catalogue, one a line. Completion stays silent
 * about errors. */
static void print_names(bool known)
{
    struct store *store = NULL;
    if (store_open(NULL, &store, NULL) != OK) return;
    const struct catalogue *catalogue = store_catalogue(store);
    for (size_t i = 0; known && i < catalogue_n_models(catalogue); i++)
        printf("%s\n", catalogue_at(catalogue, i)->name);
    struct store_models installed;
    if (store_list(store, &installed, NULL) == OK) {
        for (size_t i = 0; i < installed.len; i++)
            if (!known || !catalogue_find(catalogue, installed.items[i].name))
                printf("%s\n", installed.items[i].name);
        store_models_fini(&installed);
    }
    store_close(store);
}

static void print_models(void)
{
    print_names(true);
}

static void print_installed(void)
{
    print_names(false);
}

static const struct {
    const char *name;
    void (*print)(void);
} scripts[] = {
    {"bash", print_bash},
    {"zsh", print_zsh},
    {"fish", print_fish},
    {"models", print_models},
    {"installed", print_installed},
};

static int run(const void *options, int argc, char **argv);

const struct command cmd_completion = {
    .name = "completion",
    .summary = "Print the completion script of bash, zsh or fish",
    .usage = "completion bash|zsh|fish",
    .description = "`make install` puts the scripts where the shells look for them. Without an\n"
                   "installation, load one from the shell's start-up file:\n"
                   "\n"
                   "  bash   eval \"$(hearth completion bash)\"       in ~/.bashrc\n"
                   "  zsh    eval \"$(hearth completion zsh)\"        in ~/.zshrc, after compinit\n"
                   "  fish   hearth completion fish | source        in ~/.config/fish/config.fish\n",
    .min_args = 1,
    .max_args = 1,
    .arg_metavar = "bash|zsh|fish",
    .run = run,
};

static int run(const void *options, int argc, char **argv)
{
    (void)options;
    (void)argc;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
        if (strcmp(argv[0], scripts[i].name) == 0) {
            scripts[i].print();
            return EXIT_OK;
        }
    return cli_usage_error(&cmd_completion, "no script for '%s': there are bash, zsh and fish",
                           argv[0]);
}
