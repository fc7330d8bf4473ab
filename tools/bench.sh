#!/bin/sh
# bench.sh -- the measurements that README.md and docs/PERFORMANCE.md rest on, part after part.
#
#   tools/bench.sh                 every part, in the order below (make bench)
#   tools/bench.sh NAME [OPTION…]  one part with its own options; `tools/bench.sh NAME --help` tells them
#   tools/bench.sh tables [--write]   the documents' Markdown tables from the last results (--write: into them)
#
# A part is a program of its own that writes bench/results/NAME.csv with commit and processor, or says SKIPPED and why
# (a collection of ../shared or a peer is absent; WN_SHARED and WINNOW_CACHE name other places). Adding one is a
# line in `parts`. The peers come from tools/venv.sh bench, once: some GB, most of it torch. WN_BENCH_PYTHON
# names an interpreter that has them already. Numbers are worth most from an idle machine: the load is in every row.
set -u
cd "$(dirname "$0")/.."
parts="
rerank     bench/rerank_peers.py
quality    bench/quality.py
floor      bench/floor.py
embed      bench/embed_peers.py
latency    bench/latency.py
python     bench/python_peers.py
tokenizer  bench/tokenizer_peers.py
scan       bench/scan_peers.py
cold_start bench/cold_start.py
growth     bench/growth.py
plots      bench/plot_growth.py
"
if [ "${1:-}" = tables ]; then
    shift
    exec python3 bench/tables.py "$@"
fi
python=${WN_BENCH_PYTHON:-.venv-bench/bin/python}
[ -n "${WN_BENCH_PYTHON:-}" ] || tools/venv.sh bench || python=python3

program_of() { # NAME's program and the options of its line
    echo "$parts" | awk -v name="$1" '$1 == name { $1 = ""; print }'
}

run() { # run NAME PROGRAM [OPTION...]
    name=$1 program=$2
    shift 2
    if [ ! -f "$program" ]; then
        echo "SKIPPED $name: there is no $program"
        return 0
    fi
    case $program in
    *.py) "$python" "$program" "$@" </dev/null ;;
    *) "$program" "$@" </dev/null ;;
    esac
}

if [ $# -gt 0 ]; then
    wanted=$1
    shift
    program=$(program_of "$wanted")
    [ -n "$program" ] || { echo "bench: no part $wanted; there are:" $(echo "$parts" | awk 'NF { print $1 }') tables >&2; exit 2; }
    run "$wanted" $program "$@"
    exit
fi
failed=
for name in $(echo "$parts" | awk 'NF { print $1 }'); do
    echo "== $name"
    run "$name" $(program_of "$name") || failed="$failed $name"
done
echo "== tables (for README.md and docs/PERFORMANCE.md)"
python3 bench/tables.py
[ -z "$failed" ] || { echo "bench: failed:$failed" >&2; exit 1; }
