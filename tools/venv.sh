#!/bin/sh
# venv.sh -- a virtual environment in .venv with the pinned packages that peer tests compare with.
#
#   tools/venv.sh    exits 0 when .venv is there; else 1, with one line that says why
#
# Only tests/cli/test_eval_peers.py uses it, and says SKIPPED where it is absent: nothing that is
# built needs Python. About 80 MB and ten seconds; WN_VENV names another place.
set -u
cd "$(dirname "$0")/.."
dir=${WN_VENV:-.venv}
list=tests/cli/peers.txt
[ "$(cat "$dir/installed.txt" 2>/dev/null)" = "$(cat $list)" ] && exit 0

# python3 -m venv succeeds without pip where Debian's python3-venv is missing.
rm -rf "$dir"
if ! python3 -m venv "$dir" >/dev/null 2>&1; then
    rm -rf "$dir"
    echo "venv: python3 -m venv failed (Debian: python3-venv)" >&2
    exit 1
fi
if ! "$dir/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    --only-binary :all: --retries 1 --timeout 20 -r $list </dev/null >"$dir/pip.log" 2>&1; then
    echo "venv: $(tail -n 1 "$dir/pip.log")" >&2
    rm -rf "$dir"
    exit 1
fi
cp $list "$dir/installed.txt"
