#!/bin/sh
# test_page.sh -- test_page.mjs with node; 77 is meson's "skipped".
command -v node >/dev/null 2>&1 || { echo "SKIPPED: node is missing (tools/setup.sh test)"; exit 77; }
exec node "$(dirname "$0")/test_page.mjs" "$@"
