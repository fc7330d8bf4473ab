#!/bin/sh
# playwright.sh -- playwright-core in .node, for the test of the web page.
#
#   tools/playwright.sh    exits 0 when .node is there; else 1, with one line that says why
#
# Version and hash are those of tests/server/package-lock.json: the last line of releases that run on
# Debian 12's node 18. It drives Debian's chromium and downloads no browser of its own. Only
# tests/server/test_page.mjs uses it, and says SKIPPED where it is absent. 9 MB; WN_NODE names another place.
set -u
cd "$(dirname "$0")/.."
dir=${WN_NODE:-.node}
lock=tests/server/package-lock.json
cmp -s "$lock" "$dir/installed.json" && exit 0

for command in node npm; do
    command -v $command >/dev/null 2>&1 || { echo "playwright: $command is missing (Debian: nodejs, npm)" >&2; exit 1; }
done
rm -rf "$dir"
mkdir -p "$dir"
cp tests/server/package.json "$lock" "$dir"
if ! npm ci --prefix "$dir" --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retries=1 \
    --fetch-timeout=60000 </dev/null >"$dir.log" 2>&1; then
    echo "playwright: $(grep -v 'complete log\|^$' "$dir.log" | tail -n 1)" >&2
    rm -rf "$dir" "$dir.log"
    exit 1
fi
rm -f "$dir.log"
cp "$lock" "$dir/installed.json"
