#!/bin/sh
# venv.sh -- virtual environments with the pinned packages that tests and measurements compare winnow with.
#
#   tools/venv.sh            .venv, for tests/cli/test_eval_peers.py: 80 MB, ten seconds
#   tools/venv.sh clients    .venv-clients, for tests/server/test_clients.py: 280 MB (73 MB to fetch, 20 s
#                            of processor time); Python 3.11 or later
#   tools/venv.sh bench      .venv-bench, for make bench and make bench-server: 7 GB, most of it torch
#
# Exits 0 when the environment is there; else 1, with one line that says why. Nothing that is built needs
# Python: the tests say SKIPPED where it is absent. WN_VENV and WN_VENV_CLIENTS name other places.
set -u
cd "$(dirname "$0")/.."
case ${1:-peers} in
peers) dir=${WN_VENV:-.venv} list=tests/cli/peers.txt ;;
clients) dir=${WN_VENV_CLIENTS:-.venv-clients} list=tests/server/clients.txt ;;
bench) dir=.venv-bench list=bench/peers.txt ;;
*) echo "usage: tools/venv.sh [peers|clients|bench]" >&2; exit 1 ;;
esac
[ "$(cat "$dir/installed.txt" 2>/dev/null)" = "$(cat $list)" ] && exit 0
# The first two lists name all they need, and a test must not wait; what the peers depend on is theirs to say.
how="--no-deps --retries 1 --timeout 20"
[ $list = bench/peers.txt ] && how="--retries 3 --timeout 60"

# python3 -m venv succeeds without pip where Debian's python3-venv is missing.
rm -rf "$dir"
if ! python3 -m venv "$dir" >/dev/null 2>&1; then
    rm -rf "$dir"
    echo "venv: python3 -m venv failed (Debian: python3-venv)" >&2
    exit 1
fi
if ! "$dir/bin/python" -m pip install --quiet --disable-pip-version-check $how --no-compile \
    --only-binary :all: -r $list </dev/null >"$dir/pip.log" 2>&1; then
    echo "venv: $(tail -n 1 "$dir/pip.log")" >&2
    rm -rf "$dir"
    exit 1
fi
cp $list "$dir/installed.txt"
