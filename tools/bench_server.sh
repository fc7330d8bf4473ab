#!/bin/sh
# bench_server.sh -- winnow serve under load, beside FastAPI servers in a virtual environment of their own.
#
#   tools/bench_server.sh [bench_server.py's options]
#
# The environment is .venv-bench, with the pinned packages of bench/server_peers.txt: some GB, most of it torch.
# WN_BENCH_PYTHON names an interpreter that has them already. Without either, winnow is measured alone.
set -u
cd "$(dirname "$0")/.."
dir=.venv-bench
list=bench/server_peers.txt
if [ -z "${WN_BENCH_PYTHON:-}" ] && [ "$(cat $dir/installed.txt 2>/dev/null)" != "$(cat $list)" ]; then
    rm -rf $dir
    if python3 -m venv $dir && $dir/bin/python -m pip install --quiet --disable-pip-version-check -r $list </dev/null; then
        cp $list $dir/installed.txt
    else
        rm -rf $dir
        echo "bench_server: the peers' packages could not be installed; winnow is measured alone" >&2
    fi
fi
exec python3 bench/bench_server.py "$@"
