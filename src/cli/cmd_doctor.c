/* hearth doctor: what this machine can run. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/confined.h"
#include "cli/doctor.h"
#include "cli/load.h"
#include "infer/probe.h"

extern const struct command cmd_doctor;

static const struct option options[] = {
    {"quick", 'q', OPTION_FLAG, NULL, "Measure in about a second; less exact",
     offsetof(struct doctor_options, quick)},
    {"check", 0, OPTION_FLAG, NULL,
     "Run the models too and tell predicted and measured speeds (all installed ones, or those "
     "named)",
     offsetof(struct doctor_options, check)},
    {"rounds", 'r', OPTION_INT, "N", "Rounds of --check; medians are told (default 3)",
     offsetof(struct doctor_options, rounds), 1, 100},
    {"threads", 't', OPTION_INT, "N", "Threads to measure with (default: all physical cores)",
     offsetof(struct doctor_options, threads), 1, 1024},
    {"json", 0, OPTION_FLAG, NULL, "Print the result as JSON",
     offsetof(struct doctor_options, json)},
    {0},
};

static void init(void *p)
{
    ((struct doctor_options *)p)->rounds = 3;
}

static enum status examine(struct doctor *d, int argc, char **argv, struct error *err)
{
    enum status st = store_open(NULL, &d->store, err);
    if (!st) st = doctor_look_at_machine(d, err);
    /* After the look for graphics cards, which takes a driver's library. */
    if (!st) st = confined_model(NULL, err);
    if (!st) st = doctor_collect_models(d, argc, argv, err);
    if (!st) st = doctor_measure_machine(d, err);
    if (st) return st;
    doctor_judge(d);
    return d->o->check ? doctor_check_models(d, err) : OK;
}

static int run(const void *p, int argc, char **argv)
{
    const struct doctor_options *o = p;
    struct error err = {0};
    struct doctor *d = calloc(1, sizeof *d);
    if (!d) {
        error_set(&err, ERR_NOMEM, "out of memory");
        return cli_fail(&err);
    }
    d->o = o;
    d->resident = machine_resident_bytes();
    d->cancel = cli_catch_interrupt();
    enum status st = examine(d, argc, argv, &err);
    if (st == OK && o->json)
        st = doctor_print_json(d, &err);
    else if (st == OK)
        doctor_print(d);
    int code = st == OK ? EXIT_OK : cli_fail(&err);
    probe_destroy(d->probe);
    doctor_models_fini(d);
    doctor_machine_fini(&d->machine);
    store_models_fini(&d->installed);
    store_close(d->store);
    free(d);
    return code;
}

const struct command cmd_doctor = {
    .name = "doctor",
    .summary = "Tell what this machine can run, and which model to take",
    .usage = "doctor [MODEL|FILE.gguf ...] [options]",
    .description =
        "Measures memory and kernels for a moment and predicts, for each model of the catalogue "
        "and each installed one, whether it fits, how fast it generates (tok/s behind 512 tokens "
        "of context) and reads a prompt, and how long a 1,500-token prompt takes to its first "
        "token. Recommends one model for completion and one for chat. Nothing is fetched and no "
        "connection is opened.\n"
        "\n"
        "--check also runs the models for a few seconds each, in turn with the measuring, and "
        "tells the ratio of prediction and measurement.\n"
        "\n"
        "Examples:\n"
        "  hearth doctor\n"
        "  hearth doctor qwen2.5-coder:7b my-model.gguf\n"
        "  hearth doctor --check qwen2.5-coder:1.5b\n"
        "  hearth doctor --quick --json\n",
    .options = options,
    .options_size = sizeof(struct doctor_options),
    .init = init,
    .min_args = 0,
    .max_args = -1,
    .arg_metavar = "MODEL",
    .run = run,
};
