#!/bin/sh
# build.sh -- configures a build directory once and compiles it.
#
#   tools/build.sh DIR [TARGET...]    default target: the winnow program
#
# meson reconfigures by itself when a meson.build changes; the only thing kept here is the first
# set-up. PREFIX and MESON_ARGS count at that first set-up only.
set -eu
cd "$(dirname "$0")/.."
dir=$1
shift
if ! command -v meson >/dev/null 2>&1; then
    echo "build: meson is not installed; 'make setup' installs what winnow needs" >&2
    exit 1
fi
if [ ! -f "$dir/build.ninja" ]; then
    log=$(mktemp)
    if ! meson setup "$dir" --prefix "${PREFIX:-/usr/local}" ${MESON_ARGS:-} >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        echo "build: meson could not configure; 'make setup' installs what winnow needs" >&2
        exit 1
    fi
    rm -f "$log"
fi
[ $# -gt 0 ] || set -- winnow
exec ninja -C "$dir" "$@"
