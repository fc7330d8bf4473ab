#!/bin/sh
# fuzz.sh -- runs every libFuzzer target for a while on its committed corpus.
#
#   tools/fuzz.sh [COUNTS]    WN_FUZZ_SECONDS=60 WN_FUZZ_TARGETS="..." WN_FUZZ_JOBS=cores
#
# Targets are what tests/fuzz/meson.build builds; a target's seeds lie in tests/fuzz/corpus/TARGET.
# New inputs go to build-fuzz/found/TARGET and are never written into the checkout; an input that
# crashes stays in build-fuzz/crashes/. COUNTS receives "passed failed skipped".
set -u
cd "$(dirname "$0")/.."
seconds=${WN_FUZZ_SECONDS:-60}
jobs=${WN_FUZZ_JOBS:-$(nproc)}
dir=build-fuzz
counts=${1:-}
[ -z "$counts" ] || : >"$counts"

if [ ! -f $dir/build.ninja ]; then
    CC=clang meson setup $dir -Dfuzz=true -Dbench=false -Dpython=disabled -Db_lundef=false \
        -Db_sanitize=address,undefined \
        -Dc_args='-fsanitize=fuzzer-no-link -fno-sanitize-recover=all' || exit 1
fi
targets=${WN_FUZZ_TARGETS:-$(sed -n "s/^  '\(fuzz_[a-z0-9_]*\)',\$/\1/p" tests/fuzz/meson.build)}
# Only these: the unit tests of this build would never be run.
ninja -C $dir $(for target in $targets; do echo "tests/fuzz/$target"; done) || exit 1
mkdir -p $dir/crashes $dir/found $dir/logs
rm -f $dir/logs/*

# one TARGET: its log ends with "exit STATUS".
one() {
    mkdir -p "$dir/found/$1"
    seeds=tests/fuzz/corpus/$1
    [ -d "$seeds" ] || { echo "no corpus in $seeds"; echo "exit 1"; return; }
    ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1 \
        LSAN_OPTIONS=suppressions=tools/lsan.supp:print_suppressions=0 \
        "$dir/tests/fuzz/$1" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
        -max_len=65536 -print_final_stats=1 -artifact_prefix="$dir/crashes/$1-" \
        "$dir/found/$1" "$seeds" 2>&1
    echo "exit $?"
}

set -- $targets
while [ $# -gt 0 ]; do
    running=0
    while [ $# -gt 0 ] && [ $running -lt "$jobs" ]; do
        one "$1" >"$dir/logs/$1.log" </dev/null &
        running=$((running + 1))
        shift
    done
    wait
done

passed=0 failed=0
for target in $targets; do
    log=$dir/logs/$target.log
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if [ "$(tail -n 1 "$log")" = "exit 0" ]; then
        passed=$((passed + 1))
        echo "fuzz: $target ran $runs inputs without a crash"
    else
        failed=$((failed + 1))
        echo "fuzz: $target FAILED:"
        # The reason stands above libFuzzer's dump of the input; Base64 is the input itself.
        { grep -E -A 14 'ERROR:|runtime error' "$log" | head -n 40
          grep -E '^(artifact_prefix|Base64)' "$log"
          tail -n 1 "$log"; } | sed 's/^/fuzz:   /'
    fi
done
[ -z "$counts" ] || echo "$passed $failed 0" >"$counts"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
