#!/bin/sh
# Runs the fuzz targets of tests/fuzz under AddressSanitizer and UndefinedBehaviorSanitizer.
#
#   tools/fuzz.sh [SECONDS [TARGET...]]     tools/fuzz.sh 60 gguf
#
# Each target runs for SECONDS (default 600). Inputs found earlier are kept in build-check/fuzz and
# used again; one that crashes, aborts, leaks or hangs is left there and named.
set -eu
cd "$(dirname "$0")/.."

seconds=${1:-600}
[ $# -eq 0 ] || shift
case $seconds in
'' | *[!0-9]*)
    echo "fuzz: the time is a whole number of seconds, not '$seconds'" >&2
    exit 2
    ;;
esac
[ $# -gt 0 ] || set -- $(ls tests/fuzz/fuzz_*.c | sed -n '/_seeds\.c$/d; s,.*/fuzz_\(.*\)\.c$,\1,p')

tools/setup.sh check
tools/grammars.py
build=build-check/fuzz
if [ ! -e $build/build.ninja ]; then
    mkdir -p build-check
    if ! CC=clang meson setup $build -Dfuzz=true -Dtests=enabled -Doptimization=1 -Ddebug=true \
        -Db_lundef=false -Db_sanitize=address,undefined \
        -Dc_args='-fno-sanitize-recover=all -fno-omit-frame-pointer' >build-check/fuzz.log 2>&1; then
        tail -n 20 build-check/fuzz.log >&2
        exit 1
    fi
fi

# The sanitizers of clang 14 can fail to map their shadow under strong address randomization.
fixed=
if setarch -R true 2>/dev/null; then fixed='setarch -R'; fi

failed=0
for target; do
    ninja -C $build tests/fuzz/fuzz_"$target" | tail -n 1
    corpus=$build/corpus-$target
    mkdir -p "$corpus"
    seeds=
    if [ -e tests/fuzz/fuzz_"$target"_seeds.c ]; then
        ninja -C $build tests/fuzz/fuzz_"$target"_seeds >/dev/null
        $build/tests/fuzz/fuzz_"$target"_seeds "$corpus"
    fi
    [ ! -d tests/fuzz/corpus/"$target" ] || seeds=tests/fuzz/corpus/$target
    dict=
    [ ! -e tests/fuzz/"$target".dict ] || dict=-dict=tests/fuzz/$target.dict
    echo "== $target: $seconds s"
    log=$build/$target.log
    if $fixed $build/tests/fuzz/fuzz_"$target" -max_total_time="$seconds" -timeout=20 \
        -rss_limit_mb=2048 -print_final_stats=1 $dict -artifact_prefix=$build/finding-"$target"- \
        "$corpus" $seeds >"$log" 2>&1; then
        sed -n 's/^stat::number_of_executed_units: */   runs without a finding: /p' "$log"
    else
        failed=$((failed + 1))
        grep -E 'ERROR|SUMMARY|runtime error|Test unit written' "$log" || tail -n 20 "$log"
    fi
done
echo "$(($# - failed)) passed, $failed failed"
[ $failed -eq 0 ]
