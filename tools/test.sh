#!/bin/sh
# test.sh -- every suite, one after another, and one line of counts at the end.
#
#   gcc       -Wall -Wextra -Werror, all tests at full size: unit, parity, command line, install
#   clang     -Werror, unit tests, quick
#   asan      gcc, AddressSanitizer + UndefinedBehaviorSanitizer, unit tests, quick
#   aarch64   cross build against a sysroot of arm64 packages, unit tests under qemu-user, quick
#   fuzz      every libFuzzer target for WN_FUZZ_SECONDS (60) on the committed corpus
#   checks    headers compile alone in C and C++, dependency arrows, file lengths, README example
#
# "Quick" is WN_TEST_QUICK=1 in the environment: a parity test then takes a sample of its texts and
# pairs, and says so in the line it prints. WN_SUITES="gcc checks" runs some suites only.
# Suites run in order because each already uses every core; a failed one does not stop the rest.
# Logs: build/test-logs/SUITE.log.
set -u
cd "$(dirname "$0")/.."
root=$(pwd)
logs=$root/build/test-logs
results=$logs/results
suites=${WN_SUITES:-gcc clang asan aarch64 fuzz checks}
start=$(date +%s)

# say TEXT: a heading with the time spent so far.
say() { printf '\n== %s (at %d s)\n' "$1" $(($(date +%s) - start)); }
# count SUITE PASSED FAILED SKIPPED
count() {
    echo "$1 $2 $3 $4" >>"$results"
    printf '   %s: %d passed, %d failed, %d skipped\n' "$1" "$2" "$3" "$4"
}
# broken SUITE: the suite could not even be built; show the errors, or the end of its log.
broken() {
    grep -E -A 4 'error:|undefined reference|^FAILED|ERROR:' "$logs/$1.log" | head -n 60 |
        grep . || tail -n 40 "$logs/$1.log"
    count "$1" 0 1 0
}
# configure SUITE DIR ARGS...: -Werror always; a directory that exists is kept.
configure() {
    suite=$1 dir=$2
    shift 2
    if [ -f "$dir/build.ninja" ]; then
        meson configure "$dir" -Dwerror=true >>"$logs/$suite.log" 2>&1
    else
        meson setup "$dir" -Dwerror=true "$@" >>"$logs/$suite.log" 2>&1
    fi
}
# run_meson SUITE DIR ARGS...: the compiled tests of DIR, counted case by case.
run_meson() {
    suite=$1 dir=$2
    shift 2
    rm -f "$dir/meson-logs/testlog.json"
    meson test -C "$dir" --no-rebuild "$@" </dev/null >>"$logs/$suite.log" 2>&1
    set -- $(python3 tools/count_tests.py "$suite" "$dir/meson-logs/testlog.json" "$logs/report")
    cat "$logs/report"
    count "$suite" "$@"
}

suite_gcc() {
    say "gcc: -Werror build, every test at full size"
    CC=gcc configure gcc build && ninja -k 0 -C build >>"$logs/gcc.log" 2>&1 || { broken gcc; return; }
    tools/get_models.sh --all || echo "   models are missing: their tests will say SKIPPED"
    tools/venv.sh || echo "   pytrec_eval and ranx are missing: their tests will say SKIPPED"
    tools/venv.sh clients || echo "   the vendors' clients are missing: their tests will say SKIPPED"
    tools/playwright.sh || echo "   playwright-core is missing: the web page's test will say SKIPPED"
    run_meson gcc build
}

suite_clang() {
    say "clang: -Werror build, unit tests"
    CC=clang configure clang build-clang -Dbench=false &&
        ninja -k 0 -C build-clang >>"$logs/clang.log" 2>&1 || { broken clang; return; }
    WN_TEST_QUICK=1 run_meson clang build-clang --suite unit
}

suite_asan() {
    say "asan: AddressSanitizer and UndefinedBehaviorSanitizer, unit tests"
    CC=gcc configure asan build-asan -Dbench=false -Dpython=disabled -Db_sanitize=address,undefined \
        -Dc_args=-fno-sanitize-recover=all &&
        ninja -k 0 -C build-asan >>"$logs/asan.log" 2>&1 || { broken asan; return; }
    ASAN_OPTIONS=halt_on_error=1:abort_on_error=1:detect_stack_use_after_return=1 \
        UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        LSAN_OPTIONS=suppressions=$root/tools/lsan.supp:print_suppressions=0 \
        WN_TEST_QUICK=1 run_meson asan build-asan --suite unit -t 3
}

suite_aarch64() {
    if [ "$(uname -m)" = aarch64 ]; then
        say "aarch64: this machine is one; the gcc suite was it"
        return
    fi
    say "aarch64: cross build, unit tests under qemu-user"
    if ! tools/sysroot_aarch64.sh build-aarch64-sysroot >>"$logs/aarch64.log" 2>&1; then
        tail -n 3 "$logs/aarch64.log"
        echo "   SKIPPED aarch64: its packages could not be fetched"
        count aarch64 0 0 1
        return
    fi
    configure aarch64 build-aarch64 --cross-file build-aarch64-sysroot/cross.ini -Dbench=false &&
        ninja -k 0 -C build-aarch64 >>"$logs/aarch64.log" 2>&1 || { broken aarch64; return; }
    WN_TEST_QUICK=1 WN_TEST_EMULATED=1 run_meson aarch64 build-aarch64 --suite unit -t 3
}

suite_fuzz() {
    say "fuzz: ${WN_FUZZ_SECONDS:-60} s a target"
    if ! tools/fuzz.sh "$logs/fuzz.count" >"$logs/fuzz.log" 2>&1 && [ ! -s "$logs/fuzz.count" ]; then
        broken fuzz
        return
    fi
    grep '^fuzz:' "$logs/fuzz.log" | sed 's/^/   /'
    count fuzz $(cat "$logs/fuzz.count")
}

suite_checks() {
    say "checks: headers, arrows, lengths, README example"
    passed=0 failed=0
    for check in "sh tools/check_headers.sh" "python3 tools/check_tree.py"; do
        if $check >"$logs/checks.log" 2>&1; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            sed 's/^/   /' "$logs/checks.log"
        fi
    done
    count checks $passed $failed 0
}

mkdir -p "$logs"
rm -f "$logs"/*.log "$results"
: >"$results"
for name in $suites; do
    case $name in
    gcc | clang | asan | aarch64 | fuzz | checks) "suite_$name" ;;
    *) echo "test.sh: no suite '$name'" >&2; exit 2 ;;
    esac
done

say "summary"
awk '{ printf "   %-8s %5d passed %4d failed %4d skipped\n", $1, $2, $3, $4
       p += $2; f += $3; s += $4 }
     END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 || p == 0 }' "$results"
