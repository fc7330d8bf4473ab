#!/bin/sh
# make_example_report.sh -- examples/report.html from the demo's documents and labelled queries.
#
#   tools/make_example_report.sh [FILE]     FILE: where the page goes (examples/report.html)
#
# The first study is of bge-small-en-v1.5 and the committed reranker; a second one, with BM25 as
# first stage, gives the Pareto front something to choose from. 56 queries, at most 50 candidates each,
# twice: some minutes. Times in the page are those of the machine that made it; the rest comes out
# the same each time. When only the page's looks change, it is drawn again from itself, at once:
# build/winnow report --from examples/report.html -o examples/report.html
set -eu
cd "$(dirname "$0")/.."
page=${1:-examples/report.html}
index=build/demo.wnindex

[ -x build/winnow ] || { echo "make_example_report: run make first" >&2; exit 1; }
build/winnow index examples/docs --model bge-small-en-v1.5 -o $index
# Called by its name, so that the page shows a command that anybody can repeat.
PATH="$(pwd)/build:$PATH"
winnow report $index --queries examples/queries.jsonl --k-values 5,10,20,30,50 \
    --first-stage dense --first-stage bm25 --reranker reranker-minilm-l6-v1 \
    --output "$page"
