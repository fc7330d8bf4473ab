#!/bin/sh
# test_install.sh -- what `make install` puts down is enough for a stranger's program.
#
#   test_install.sh BUILD SOURCE
#
# Installs below a temporary DESTDIR, then compiles examples/c/rerank.c with what pkg-config says,
# against the shared and against the static library, and runs both on the committed reranker.
set -eu
build=$1
source=$2
dest=$(mktemp -d)
trap 'rm -rf "$dest"' EXIT
trap 'exit 1' HUP INT TERM

fail() { echo "FAILED: $*"; exit 1; }

# meson sets these for the programs it tests; they are not for the compiler below
unset LD_PRELOAD MESON_TESTTHREADS 2>/dev/null || true
DESTDIR=$dest meson install -C "$build" --no-rebuild --quiet >/dev/null

prefix=$(find "$dest" -name winnow.pc -exec sed -n 's/^prefix=//p' {} \;)
[ -n "$prefix" ] || fail "no winnow.pc"
pc=$(dirname "$(find "$dest" -name winnow.pc)")
lib=$(dirname "$pc")
for file in "$dest$prefix/bin/winnow" "$dest$prefix/include/winnow.h" "$lib/libwinnow.a" \
    "$lib/libwinnow.so" "$dest$prefix/share/man/man1/winnow.1"; do
    [ -e "$file" ] || fail "$file was not installed"
done
for header in "$source"/include/winnow/*.h; do
    cmp -s "$header" "$dest$prefix/include/winnow/${header##*/}" || fail "$header was not installed"
done
# Nothing of the inside: the same headers and no more.
[ "$(find "$dest$prefix/include" -name '*.h' | wc -l)" = \
    "$(find "$source/include" -name '*.h' | wc -l)" ] || fail "more headers than the public ones"

[ ! -e "$build/src/python/winnow/_winnow.abi3.so" ] || find "$dest" -path '*-packages/winnow/_winnow.abi3.so' | grep -q . ||
    fail "the Python package was not installed"

PKG_CONFIG_PATH=$pc
export PKG_CONFIG_PATH
ask() { pkg-config "--define-variable=prefix=$dest$prefix" "$@"; }
example=$source/examples/c/rerank.c
cc -std=c11 -Wall -Wextra -Werror "$example" $(ask --cflags --libs winnow) -o "$dest/shared"
# Debian's libcurl.pc names libraries in --static that have no -dev package here; so the archive is
# linked with what winnow.pc itself requires.
cc -std=c11 -Wall -Wextra -Werror "$example" $(ask --cflags winnow) "$lib/libwinnow.a" \
    $(pkg-config --libs $(ask --print-requires-private winnow | sed 's/ .*//')) \
    $(sed -n 's/^Libs.private: //p' "$pc/winnow.pc") -o "$dest/static"
ldd "$dest/static" | grep -q libwinnow && fail "the static program needs libwinnow.so"

model=$source/models/reranker-minilm-l6-v0
LD_LIBRARY_PATH=$lib "$dest/shared" "$model" >"$dest/shared.out"
"$dest/static" "$model" >"$dest/static.out"
cmp "$dest/shared.out" "$dest/static.out" || fail "the two libraries give different scores"
[ "$(wc -l <"$dest/shared.out")" = 3 ] || fail "expected three scores"
best=$(sort -rn "$dest/shared.out" | head -n 1)
case $best in
*"LoRA freezes"*) ;;
*) fail "the best passage is: $best" ;;
esac
LD_LIBRARY_PATH=$lib "$dest$prefix/bin/winnow" --version
echo "installed, compiled by pkg-config, shared and static, ran"
