/* What doctor found, for people. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/confined.h"
#include "cli/doctor.h"

enum { LABEL = 11, SIZE_CAP = 32 };

static bool color;

static const char *paint(const char *code)
{
    return color ? code : "";
}
#define BOLD paint("\033[1m")
#define END  paint("\033[0m")

static const char *bytes_text(double n, char *dst)
{
    return cli_format_bytes((uint64_t)(n + 0.5), dst, SIZE_CAP);
}

static void label(const char *name)
{
    printf("  %-*s ", LABEL, name);
}

/* ---- the machine ------------------------------------------------------------------------------
 */

static void print_memory(const struct doctor_machine *m)
{
    const struct machine_limits *l = &m->limits;
    char a[SIZE_CAP], b[SIZE_CAP];
    label("memory");
    if (l->total_bytes)
        printf("%s, %s free", bytes_text((double)l->total_bytes, a),
               bytes_text((double)l->available_bytes, b));
    else
        printf("unknown");
    if (l->swap_bytes)
        printf("; swap %s, %s free", bytes_text((double)l->swap_bytes, a),
               bytes_text((double)l->swap_free_bytes, b));
    else
        printf("; no swap");
    if (*l->huge_pages) printf("; huge pages: %s", l->huge_pages);
    putchar('\n');
    if (!l->container && !l->limit_bytes && l->quota_cpus == 0) return;
    label("limits");
    printf("%s", l->container ? "in a container" : "by a control group");
    if (l->quota_cpus > 0) printf(", %.3g CPUs", l->quota_cpus);
    if (l->limit_bytes)
        printf(", %s of memory, %s of it in use", bytes_text((double)l->limit_bytes, a),
               bytes_text((double)l->group_bytes, b));
    if (l->quota_cpus == 0 && !l->limit_bytes) printf(" without limits of its own");
    putchar('\n');
}

static void print_disks(const struct doctor_machine *m)
{
    char a[SIZE_CAP];
    label("models");
    printf("%s, %s free\n", m->store, m->store_free ? bytes_text((double)m->store_free, a) : "?");
    label("cache");
    if (!m->cache)
        printf("none: neither HEARTH_HOME nor HOME is set\n");
    else if (m->one_disk)
        printf("%s, on the same disk\n", m->cache);
    else
        printf("%s, %s free\n", m->cache,
               m->cache_free ? bytes_text((double)m->cache_free, a) : "?");
}

static void print_gpus(const struct doctor_machine *m)
{
    char a[SIZE_CAP];
    label("GPU");
    if (m->n_gpus == 0) printf("none of NVIDIA found; Hearth computes on the processor\n");
    for (size_t i = 0; i < m->n_gpus; i++) {
        if (i > 0) label("");
        printf("%s", m->gpus[i].name);
        if (m->gpus[i].memory_bytes) printf(", %s", bytes_text((double)m->gpus[i].memory_bytes, a));
        printf("; not used yet: Hearth computes on the processor\n");
    }
}

/* What refuses a model's file to reach further than it should. */
static void print_sandbox(void)
{
    struct confined can = confine_probe();
    char text[96];
    const char *off = confined_why_not();
    label("sandbox");
    if (!*confined_text(&can, text, sizeof text)) {
        printf("none: this kernel has neither Landlock nor filters of system calls\n");
        return;
    }
    printf("%s guarded", text);
    if (can.landlock) printf(" (Landlock %d)", can.landlock);
    if (!can.landlock) printf("; no Landlock, so files and connections are not");
    if (!can.calls) printf("; no filters of system calls");
    if (off) printf(", but off: %s", off);
    putchar('\n');
}

static void print_machine(const struct doctor *d)
{
    const struct doctor_machine *m = &d->machine;
    char a[SIZE_CAP];
    printf("%sThis machine%s\n", BOLD, END);
    label("processor");
    printf("%s, %d core%s, %s kernels", m->cpu, m->cores, m->cores == 1 ? "" : "s", m->kernels);
    if (m->threads != m->cores)
        printf(", measured with %d thread%s", m->threads, m->threads == 1 ? "" : "s");
    putchar('\n');
    label("speed");
    printf("%s/s read from memory", bytes_text(m->bandwidth, a));
    if (m->int8_peak > 0) printf(", %.0f Gop/s in int8", 1e-9 * m->int8_peak);
    putchar('\n');
    print_memory(m);
    print_disks(m);
    print_gpus(m);
    print_sandbox();
}

/* ---- models -----------------------------------------------------------------------------------
 */

static const char *verdict_color(enum doctor_verdict v)
{
    static const char *const codes[] = {"\033[32m", "\033[36m", "\033[31m", "\033[90m", "\033[90m"};
    return paint(codes[v]);
}

/* Few enough digits to be told apart from a measurement. */
static const char *rate_text(double per_second, char *dst)
{
    if (per_second <= 0)
        snprintf(dst, SIZE_CAP, "-");
    else
        snprintf(dst, SIZE_CAP, per_second < 9.95 ? "%.1f" : "%.0f", per_second);
    return dst;
}

static const char *seconds_text(double s, char *dst)
{
    if (s <= 0)
        snprintf(dst, SIZE_CAP, "-");
    else
        snprintf(dst, SIZE_CAP, s < 9.95 ? "%.1f s" : "%.0f s", s);
    return dst;
}

static const char *use_text(const struct doctor_model *m)
{
    if (m->fim && m->chat) return "code, chat";
    return m->fim ? "code" : m->chat ? "chat" : "-";
}

/* The last part of a path: it is the file's owner who knows the rest. */
static const char *short_name(const struct doctor_model *m)
{
    const char *slash = m->is_file ? strrchr(m->name, '/') : NULL;
    return slash ? slash + 1 : m->name;
}

static void print_model(const struct doctor_model *m, int width)
{
    char size[SIZE_CAP], memory[SIZE_CAP], step[SIZE_CAP], prompt[SIZE_CAP], first[SIZE_CAP];
    char exact[SIZE_CAP] = "?";
    if (m->bytes)
        snprintf(exact, sizeof exact, "%s%.24s", m->bytes_exact ? "" : "~",
                 bytes_text((double)m->bytes, size));
    printf("%-*s %c %8s  %8s  %6s  %8s  %7s  %-10s  %s%s%s", width, short_name(m),
           m->installed ? '*' : ' ', exact, m->memory > 0 ? bytes_text(m->memory, memory) : "-",
           rate_text(m->step > 0 ? 1 / m->step : 0, step),
           rate_text(m->prompt > 0 ? DOCTOR_PROMPT / m->prompt : 0, prompt),
           seconds_text(m->first_token, first), use_text(m), verdict_color(m->verdict),
           doctor_verdict_name(m->verdict), END);
    putchar('\n');
}

static void print_models(const struct doctor *d)
{
    int width = 5;
    for (size_t i = 0; i < d->n_models; i++)
        if ((int)strlen(short_name(&d->models[i])) > width)
            width = (int)strlen(short_name(&d->models[i]));
    printf("\n%s%-*s   %8s  %8s  %6s  %8s  %7s  %-10s  VERDICT%s\n", BOLD, width, "MODEL", "SIZE",
           "MEMORY", "TOK/S", "PROMPT/S", "FIRST", "FOR", END);
    for (size_t i = 0; i < d->n_models; i++) print_model(&d->models[i], width);
    for (size_t i = 0; i < d->n_models; i++)
        if (*d->models[i].why && (d->models[i].named || d->models[i].verdict == DOCTOR_TOO_LARGE))
            printf("%s%s: %s%s\n", paint("\033[90m"), short_name(&d->models[i]), d->models[i].why,
                   END);
    printf(
        "%s* installed. Speeds are predicted: TOK/S of generating behind %d tokens, PROMPT/S and "
        "FIRST\n"
        "(seconds to the first token) for a prompt of %d. MEMORY has a cache of %d tokens.%s\n",
        paint("\033[90m"), DOCTOR_STEP_AT, DOCTOR_PROMPT, DOCTOR_CONTEXT, END);
}

const char *doctor_command(const struct doctor_model *m, bool completion, char *dst, size_t cap)
{
    if (!m->installed && !m->is_file)
        snprintf(dst, cap, "hearth pull %s", m->name);
    else if (completion)
        snprintf(dst, cap, "hearth complete FILE --at LINE:COL -m %s", m->name);
    else
        snprintf(dst, cap, "hearth run %s", m->name);
    return dst;
}

static void recommend(const char *use, const struct doctor_model *m, bool completion)
{
    char command[256], first[SIZE_CAP];
    printf("%sFor %-11s%s ", BOLD, use, END);
    if (!m) {
        printf("none of these runs well here\n");
        return;
    }
    printf("%s%s%s: %.0f tok/s, first token after %s%s\n", paint("\033[1;32m"), short_name(m), END,
           1 / m->step, seconds_text(m->first_token, first),
           completion && m->first_token > DOCTOR_COMPLETION_SECONDS ? ", which is slow" : "");
    printf("%-15s %s%s%s\n", "", paint("\033[36m"),
           doctor_command(m, completion, command, sizeof command), END);
}

/* ---- predictions and measurements -------------------------------------------------------------
 */

static void print_ratio(const char *name, const char *what, int width, double unit,
                        const struct doctor_ratio *r)
{
    printf("%-*s  %-13s  %10.4g  %10.4g  %6.2f\n", width, name, what, r->predicted / unit,
           r->measured / unit, r->ratio);
}

static void print_checks(const struct doctor *d)
{
    int width = 5;
    for (size_t i = 0; i < d->n_checks; i++)
        if ((int)strlen(short_name(d->checks[i].model)) > width)
            width = (int)strlen(short_name(d->checks[i].model));
    printf("\n%s%-*s  %-13s  %10s  %10s  %6s%s\n", BOLD, width, "CHECKED", "", "PREDICTED",
           "MEASURED", "RATIO", END);
    for (size_t i = 0; i < d->n_checks; i++) {
        const struct doctor_check *c = &d->checks[i];
        print_ratio(short_name(c->model), "decode tok/s", width, 1, &c->decode);
        print_ratio("", "prefill tok/s", width, 1, &c->prefill);
        print_ratio("", "memory MB", width, 1e6, &c->resident);
    }
    printf(
        "%sMedians of %lld rounds in which predicting and measuring took turns; RATIO is that of "
        "each\nround's own pair.%s\n",
        paint("\033[90m"), (long long)d->o->rounds, END);
}

void doctor_print(const struct doctor *d)
{
    color = cli_color(1);
    print_machine(d);
    print_models(d);
    putchar('\n');
    recommend("completion", d->completion, true);
    recommend("chat", d->chat, false);
    if (d->n_checks > 0) print_checks(d);
}
