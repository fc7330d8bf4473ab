#!/bin/sh
# bench.sh -- runs every benchmark program of build/bench, one after another.
# Numbers are worth comparing only from an idle machine; each program says what it measured on.
set -eu
cd "$(dirname "$0")/.."
found=no
for program in build/bench/bench_*; do
    [ -f "$program" ] && [ -x "$program" ] || continue
    found=yes
    echo "== ${program##*/}"
    "$program" "$@" </dev/null
done
[ $found = yes ] || { echo "bench: no program in build/bench" >&2; exit 1; }
