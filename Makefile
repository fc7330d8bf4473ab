# Makefile -- the front door; meson and ninja do the building, tools/ the rest.
#
#   make            build build/winnow, libwinnow.a and libwinnow.so
#   make demo       on a fresh Debian 12: packages, models, build, then a search before and after
#                   reranking
#   make test       on a fresh Debian 12: packages, models, every suite (tools/test.sh says which)
#   make setup      packages and models for `make`, and nothing else
#   make bench      winnow beside its peers: reranking, embedding, tokenizing, scanning, growth (tools/bench.sh)
#   make bench-server   winnow serve under 1 to 256 clients, beside FastAPI servers (docs/SERVER.md)
#   make soak       winnow serve under mixed good and bad clients for ten minutes
#   make fuzz       every fuzz target for WN_FUZZ_SECONDS (60) each
#   make install    PREFIX=/usr/local DESTDIR= (PREFIX counts when build/ is first configured)
#   make clean      removes what was built, keeps models and the aarch64 packages
PREFIX ?= /usr/local

.PHONY: all setup demo test bench bench-server soak fuzz install clean

all:
	@tools/build.sh build

setup:
	@tools/setup.sh build
	@tools/get_models.sh

demo:
	@tools/setup.sh build
	@tools/build.sh build
	@tools/get_models.sh
	@tools/demo.sh

test:
	@tools/setup.sh test
	@tools/test.sh

bench:
	-@tools/setup.sh bench
	@tools/build.sh build all
	@tools/bench.sh

bench-server:
	@tools/build.sh build all
	@tools/bench_server.sh

soak:
	@tools/build.sh build
	@WINNOW=build/winnow tests/server/soak.py

fuzz:
	@tools/setup.sh test
	@tools/fuzz.sh

install:
	@PREFIX="$(PREFIX)" tools/build.sh build all
	meson install -C build --no-rebuild

clean:
	rm -rf build build-clang build-asan build-aarch64 build-fuzz
