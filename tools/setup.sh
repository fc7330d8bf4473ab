#!/bin/sh
# setup.sh -- Debian packages that a command needs; asks for nothing when all are there.
#
#   tools/setup.sh build    to compile winnow and run it (make, make demo)
#   tools/setup.sh test     also clang, the sanitizers' runtime, the aarch64 compiler, qemu,
#                           chromium (for the pages of winnow report and winnow serve), nodejs and npm where
#                           their commands are missing, Python's headers, and what makes the virtual
#                           environments of tools/venv.sh
#   tools/setup.sh bench    also FAISS, which make bench compares the dense scan with
#
# Each package is looked up with dpkg-query; apt-get runs only for those that are missing, so a
# machine that is set up needs neither root nor network. Written for Debian 12. On a system
# without dpkg-query it prints the list and lets the build say what it lacks.
set -eu

build_packages="gcc libc6-dev meson ninja-build pkg-config ca-certificates
    libdnnl-dev libsqlite3-dev libutf8proc-dev libcurl4-openssl-dev libssl-dev
    libjansson-dev libxxhash-dev libcmocka-dev libmicrohttpd-dev"
test_packages="g++ clang libclang-rt-14-dev llvm
    gcc-aarch64-linux-gnu qemu-user python3-dev python3-venv chromium chromium-driver"
bench_packages="g++ libfaiss-dev libopenblas-dev python3-venv"
# Asked for by command: another vendor's nodejs brings its own npm, and conflicts with Debian's.
for command in node:nodejs npm:npm; do
    command -v "${command%:*}" >/dev/null 2>&1 || test_packages="$test_packages ${command#*:}"
done

case "${1:-build}" in
build) packages=$build_packages ;;
test) packages="$build_packages $test_packages" ;;
bench) packages="$build_packages $bench_packages" ;;
packages) shift; packages=$* ;; # for the other scripts here
*) echo "usage: tools/setup.sh build|test|bench|packages NAME..." >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "setup: not a Debian system; these are needed: $(echo $packages)" >&2
    exit 0
fi

missing=
for package in $packages; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "setup: run as root, or with sudo:  apt-get install$missing" >&2
        exit 1
    fi
    as_root="sudo"
    [ -t 0 ] || as_root="sudo -n" # nobody there to type a password
fi

echo "setup: installing$missing"
apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3"
# A third-party source that does not answer must not stop us: the install below decides.
$apt update >/dev/null || echo "setup: apt-get update failed; trying with the lists at hand" >&2
$apt install --no-install-recommends $missing </dev/null >/dev/null || {
    echo "setup: apt-get could not install:$missing" >&2
    exit 1
}
