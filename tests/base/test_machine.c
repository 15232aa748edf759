/* Counting cores over made-up /sys and /proc trees; the measurements only for being plausible. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/machine.h"

static char root[64];

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int new_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/hearth-machine-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
    (void)state;
    return nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *path, const char *text)
{
    char full[512], *slash;
    snprintf(full, sizeof full, "%s%s", root, path);
    slash = strrchr(full, '/');
    *slash = 0;
    assert_int_equal(file_make_dirs(full, NULL), OK);
    *slash = '/';
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void put_cpu(int cpu, int package, int core)
{
    char path[128], text[32];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu);
    snprintf(text, sizeof text, "%d\n", package);
    put(path, text);
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/core_id", cpu);
    snprintf(text, sizeof text, "%d\n", core);
    put(path, text);
}

static const int eight[] = {0, 1, 2, 3, 4, 5, 6, 7};

/* Two packages with two cores of two threads each; core numbers repeat in each package. */
static void put_eight_cpus(void)
{
    for (int cpu = 0; cpu < 8; cpu++) put_cpu(cpu, cpu / 2 % 2, cpu % 2);
}

static void threads_of_one_core_count_once(void **state)
{
    (void)state;
    put_eight_cpus();
    assert_int_equal(machine_physical_cores_at(root, eight, 8), 4);
}

static void only_the_cpus_of_the_mask_count(void **state)
{
    (void)state;
    put_eight_cpus();
    assert_int_equal(machine_physical_cores_at(root, (int[]){0, 4}, 2), 1);
    assert_int_equal(machine_physical_cores_at(root, (int[]){0, 1, 2}, 3), 3);
    assert_int_equal(machine_physical_cores_at(root, (int[]){5}, 1), 1);
    assert_int_equal(machine_physical_cores_at(root, NULL, 0), 1);
}

static void cpus_without_topology_count_each(void **state)
{
    (void)state;
    assert_int_equal(machine_physical_cores_at(root, eight, 3), 3);
}

static void a_quota_of_version_two_limits(void **state)
{
    (void)state;
    put_eight_cpus();
    put("/proc/self/cgroup", "0::/user/app\n");
    put("/sys/fs/cgroup/user/app/cpu.max", "max 100000\n");
    assert_int_equal(machine_physical_cores_at(root, eight, 8), 4);
    put("/sys/fs/cgroup/user/app/cpu.max", "250000 100000\n");
    assert_int_equal(machine_physical_cores_at(root, eight, 8), 2);
    put("/sys/fs/cgroup/user/app/cpu.max", "50000 100000\n");
    assert_int_equal(machine_physical_cores_at(root, eight, 8), 1);
    put("/sys/fs/cgroup/user/app/cpu.max", "900000 100000\n");
    assert_int_equal(machine_physical_cores_at(root, eight, 8), 4);
    /* The least of a group and those above it, to the mount's root. */
    put("/sys/fs/cgroup/user/cpu.max", "300000 100000\n");
    assert_int_equal(machine_physical_cores_at(root, eight, 8), 3);
    put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    assert_int_equal(machine_physical_cores_at(root, eight, 8), 1);
    put("/sys/fs/cgroup/cpu.max", "rubbish\n");
    assert_int_equal(machine_physical_cores_at(root, eight, 8), 3);
}

static void a_group_outside_the_mount_is_looked_up_above(void **state)
{
    (void)state;
    put_eight_cpus();
    put("/proc/self/cgroup", "0::/../host/group\n");
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    assert_int_equal(machine_physical_cores_at(root, eight, 8), 2);
}

static void a_quota_of_version_one_limits(void **state)
{
    (void)state;
    put_eight_cpus();
    put("/proc/self/cgroup", "9:cpuset:/x\n4:cpu,cpuacct:/docker/1\n1:name=systemd:/docker/1\n");
    put("/sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us", "100000\n");
    assert_int_equal(machine_physical_cores_at(root, eight, 8), 4);
    put("/sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us", "300000\n");
    assert_int_equal(machine_physical_cores_at(root, eight, 8), 3);
    /* The group of another controller is another group. */
    put("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "100000\n");
    put("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
    assert_int_equal(machine_physical_cores_at(root, eight, 8), 3);
    put("/sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us", "0\n");
    assert_int_equal(machine_physical_cores_at(root, eight, 8), 4);
}

static void facts_of_this_machine_are_plausible(void **state)
{
    (void)state;
    char name[64];
    assert_true(machine_physical_cores() >= 1);
    assert_true(machine_physical_cores() <= sysconf(_SC_NPROCESSORS_CONF));
    assert_true(strlen(machine_cpu_name(name, sizeof name)) > 0);
    char tiny[3];
    assert_true(strlen(machine_cpu_name(tiny, sizeof tiny)) <= 2);
    uint64_t before = machine_resident_bytes();
    assert_true(before > 100000);
    enum { MORE = 64 << 20 };
    char *block = malloc(MORE);
    assert_non_null(block);
    memset(block, 1, MORE);
    __asm__ volatile("" : : "r"(block) : "memory");
    assert_true(machine_resident_bytes() >= before + MORE / 2);
    free(block);
    assert_true(machine_available_bytes() > 0);
}

static void measurements_are_plausible(void **state)
{
    (void)state;
    double one = machine_read_bandwidth(1);
    assert_true(one > 1e8 && one < 1e13);
    double ops = machine_int8_ops_per_second(1);
#if defined(__x86_64__)
    assert_true(ops > 1e8 && ops < 1e14);
#else
    assert_true(ops >= 0);
#endif
    assert_true(machine_read_bandwidth(0) == 0);
    assert_true(machine_read_bandwidth(-3) == 0);
    assert_true(machine_int8_ops_per_second(0) == 0);
    assert_true(machine_int8_ops_per_second(1 << 20) == 0);
}

static void limits_of_a_machine(void **state)
{
    (void)state;
    struct machine_limits l;
    machine_limits_read_at(root, &l);
    assert_true(l.total_bytes == 0 && l.limit_bytes == 0 && l.quota_cpus == 0 && !l.container);
    assert_string_equal(l.huge_pages, "");
    assert_true(machine_limits_usable(&l) == 0);
    put("/proc/meminfo", "MemTotal:  2000 kB\nMemFree: 10 kB\nMemAvailable:  1500 kB\n"
                         "SwapTotal: 300 kB\nSwapFree: 200 kB\n");
    put("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    machine_limits_read_at(root, &l);
    assert_int_equal(l.total_bytes, 2000 * 1024);
    assert_int_equal(l.available_bytes, 1500 * 1024);
    assert_int_equal(l.swap_bytes, 300 * 1024);
    assert_int_equal(l.swap_free_bytes, 200 * 1024);
    assert_string_equal(l.huge_pages, "madvise");
    assert_int_equal(machine_limits_usable(&l), 1500 * 1024);
}

static void limits_of_a_group(void **state)
{
    (void)state;
    struct machine_limits l;
    put("/proc/meminfo", "MemTotal: 2000 kB\nMemAvailable: 1500 kB\n");
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
    put("/sys/fs/cgroup/a/b/memory.max", "max\n");
    put("/sys/fs/cgroup/a/memory.max", "1024000\n");
    put("/sys/fs/cgroup/a/memory.current", "500000\n");
    put("/sys/fs/cgroup/a/memory.stat", "anon 90000\nfile 400000\nfile_mapped 5\n");
    put("/.dockerenv", "");
    machine_limits_read_at(root, &l);
    assert_true(l.quota_cpus == 1.5 && l.container);
    assert_int_equal(l.limit_bytes, 1024000);
    assert_int_equal(l.group_bytes, 100000); /* pages of files are given up first */
    assert_int_equal(machine_limits_usable(&l), 924000);
    put("/sys/fs/cgroup/a/memory.max", "9000000000\n"); /* more than the machine has */
    machine_limits_read_at(root, &l);
    assert_int_equal(machine_limits_usable(&l), 1500 * 1024);
}

static void limits_of_version_1(void **state)
{
    (void)state;
    struct machine_limits l;
    put("/proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/c\n3:devices:/d\n");
    put("/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "9223372036854771712\n"); /* none */
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "700000\n");
    put("/sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "100000\n");
    machine_limits_read_at(root, &l);
    assert_int_equal(l.limit_bytes, 700000);
    assert_true(l.quota_cpus == 0);
    put("/sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "250000\n");
    machine_limits_read_at(root, &l);
    assert_true(l.quota_cpus == 2.5);
}

static void graphics_processors(void **state)
{
    (void)state;
    struct machine_gpu g[2];
    assert_int_equal(machine_gpus_listed_at(root, g, 2), 0);
    put("/proc/driver/nvidia/gpus/0000:01:00.0/information",
        "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   		 0\n");
    put("/proc/driver/nvidia/gpus/0000:02:00.0/information", "IRQ: 0\n"); /* tells no model */
    assert_int_equal(machine_gpus_listed_at(root, g, 2), 1);
    assert_string_equal(g[0].name, "NVIDIA H100 80GB HBM3");
    put("/proc/driver/nvidia/gpus/0000:02:00.0/information", "Model: B\n");
    put("/proc/driver/nvidia/gpus/0000:03:00.0/information", "Model: C\n");
    assert_int_equal(machine_gpus_listed_at(root, g, 2), 2);
    (void)machine_gpus(g, 2); /* whatever this machine has */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(threads_of_one_core_count_once, new_root, drop_root),
        cmocka_unit_test_setup_teardown(only_the_cpus_of_the_mask_count, new_root, drop_root),
        cmocka_unit_test_setup_teardown(cpus_without_topology_count_each, new_root, drop_root),
        cmocka_unit_test_setup_teardown(a_quota_of_version_two_limits, new_root, drop_root),
        cmocka_unit_test_setup_teardown(a_group_outside_the_mount_is_looked_up_above, new_root,
                                        drop_root),
        cmocka_unit_test_setup_teardown(a_quota_of_version_one_limits, new_root, drop_root),
        cmocka_unit_test_setup_teardown(limits_of_a_machine, new_root, drop_root),
        cmocka_unit_test_setup_teardown(limits_of_a_group, new_root, drop_root),
        cmocka_unit_test_setup_teardown(limits_of_version_1, new_root, drop_root),
        cmocka_unit_test_setup_teardown(graphics_processors, new_root, drop_root),
        cmocka_unit_test(facts_of_this_machine_are_plausible),
        cmocka_unit_test(measurements_are_plausible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
