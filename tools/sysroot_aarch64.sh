#!/bin/sh
# sysroot_aarch64.sh -- arm64 libraries in a folder of their own, for the cross build.
#
#   tools/sysroot_aarch64.sh DIR    fills DIR/root and writes DIR/cross.ini
#
# `dpkg --add-architecture arm64` with -dev packages was rejected: it changes the host, needs root
# and breaks where an amd64 package comes from another suite than its arm64 twin. Instead apt
# works out the closure in a private state (an empty machine of architecture arm64), downloads it
# and dpkg-deb unpacks it. The host's own package database is never written. About 23 MB.
set -eu
dir=$1
packages="libc6-dev libdnnl-dev libsqlite3-dev libutf8proc-dev libcurl4-openssl-dev libssl-dev
    libjansson-dev libxxhash-dev libcmocka-dev libmicrohttpd-dev"
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

if [ "$(cat "$dir/complete" 2>/dev/null)" != "$packages" ]; then
    rm -rf "$dir/root" "$dir/apt" "$dir/complete"
    mkdir -p "$dir/root" "$dir/apt/state/lists/partial" "$dir/apt/cache/archives/partial"
    : >"$dir/apt/status"
    cat >"$dir/apt/apt.conf" <<CONF
Dir::State "$dir/apt/state";
Dir::State::status "$dir/apt/status";
Dir::Cache "$dir/apt/cache";
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "";
Acquire::Retries "3";
CONF
    APT_CONFIG="$dir/apt/apt.conf"
    export APT_CONFIG
    apt-get -q update >/dev/null
    apt-get -q -y --no-install-recommends --download-only install $packages >/dev/null
    for deb in "$dir"/apt/cache/archives/*.deb; do
        dpkg-deb -x "$deb" "$dir/root"
    done
    rm -rf "$dir/apt"
    echo "$packages" >"$dir/complete"
fi
sed "s|@SYSROOT@|$dir/root|g" "$here/cross-aarch64.ini.in" >"$dir/cross.ini"
