/* Every architecture against Hugging Face transformers (tools/golden/make_arch.py): the logits that
 * it computes in float32, for all fixtures in tests/golden/arch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden_kit.h"
#include "kern/kern.h"
#include "model/arch.h"

#define MAX_FIXTURES 256

/* Largest difference as a share of the logits' range; most of what there is comes from keys and
 * values kept as F16. */
#define TOLERANCE 1e-3

static char names[MAX_FIXTURES][64];
static size_t n_names;
static char covered[1024]; /* architectures that a fixture was seen of, " NAME " each */

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void find_fixtures(void)
{
    const char *dir = getenv("HEARTH_GOLDEN_DIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/arch", dir ? dir : GOLDEN_DIR);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        const char *dot = strstr(e->d_name, ".golden");
        if (!dot || dot[7] || n_names == MAX_FIXTURES) continue;
        snprintf(names[n_names++], sizeof names[0], "arch/%.*s", (int)(dot - e->d_name), e->d_name);
    }
    if (d) closedir(d);
    qsort(names, n_names, sizeof names[0], by_name);
}

static void test_fixture(void **state)
{
    const char *name = *state;
    struct golden g = golden_load(name);
    const struct kern_ops *tables[16];
    size_t n_tables = kern_available(tables, 16);
    float *base = NULL;
    for (size_t t = 0; t < n_tables; t++) {
        /* sse2 has no fused multiply-add, and so its own last bits. */
        bool alone = strcmp(tables[t]->name, "sse2") == 0;
        float *mine = golden_run_table(name, &g, tables[t]->name, alone ? NULL : base);
        double exact = golden_max_rel(&g, g.exact, mine);
        print_message("%-28s %-8s from float32 %.1e\n", name, tables[t]->name, exact);
        assert_true(exact <= TOLERANCE);
        if (alone)
            free(mine);
        else
            base = mine;
    }
    struct loaded l = golden_open(name, NULL, NULL);
    size_t at = strlen(covered);
    snprintf(covered + at, sizeof covered - at, " %s ", model_info(l.m)->arch);
    /* A tensor that is not used is a part of the model that is missing. */
    assert_int_equal(model_info(l.m)->n_tensors_ignored, 0);
    golden_close(&l);
    free(base);
    free(g.file);
}

/* Runs after all others. */
static void test_every_architecture_has_one(void **state)
{
    (void)state;
    char list[1024], want[80];
    arch_names(list, sizeof list);
    for (char *name = strtok(list, ", "); name; name = strtok(NULL, ", ")) {
        snprintf(want, sizeof want, " %s ", name);
        if (!strstr(covered, want)) fail_msg("no fixture in tests/golden/arch is of %s", name);
    }
}

int main(void)
{
    static struct CMUnitTest tests[MAX_FIXTURES + 1];
    find_fixtures();
    for (size_t i = 0; i < n_names; i++)
        tests[i] = (struct CMUnitTest){names[i], test_fixture, NULL, NULL, names[i]};
    tests[n_names] = (struct CMUnitTest)cmocka_unit_test(test_every_architecture_has_one);
    return _cmocka_run_group_tests("golden_arch", tests, n_names + 1, NULL, NULL);
}
