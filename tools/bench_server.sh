#!/bin/sh
# bench_server.sh -- winnow serve under load, beside FastAPI servers in the virtual environment of tools/venv.sh bench.
#
#   tools/bench_server.sh [bench_server.py's options]
#
# WN_BENCH_PYTHON names an interpreter that has the peers already. Without either, winnow is measured alone.
set -u
cd "$(dirname "$0")/.."
[ -n "${WN_BENCH_PYTHON:-}" ] || tools/venv.sh bench || echo "bench_server: winnow is measured alone" >&2
exec python3 bench/bench_server.py "$@"
