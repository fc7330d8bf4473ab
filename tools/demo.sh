#!/bin/sh
# demo.sh -- indexes examples/docs and shows three questions before and after reranking.
set -eu
cd "$(dirname "$0")/.."
winnow=build/winnow
index=build/demo.wnindex
cache=${WINNOW_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/winnow}/models
model=bge-small-en-v1.5
[ -d "$cache/$model" ] || model=all-MiniLM-L6-v2
reranker=reranker-minilm-l6-v1

echo
echo "== Indexing examples/docs with $model"
$winnow index examples/docs --model $model -o $index

# The first three labelled questions; each line is {"query": ..., "expected_source": ...}.
python3 - examples/queries.jsonl <<'PY' >build/demo-queries.tsv
import itertools, json, sys
for line in itertools.islice(open(sys.argv[1], encoding="utf-8"), 3):
    row = json.loads(line)
    print(row["query"], row["expected_source"], sep="\t")
PY
tab=$(printf '\t')
while IFS="$tab" read -r query expected; do
    echo
    echo "== $query   (the answer is in $expected)"
    echo "-- before: $model alone"
    $winnow search $index "$query" -k 5 --no-rerank </dev/null
    echo "-- after: its 50 best, read again by $reranker"
    $winnow search $index "$query" -k 5 --reranker $reranker </dev/null
done <build/demo-queries.tsv

cat <<END

== Now try
  $winnow search $index "your own question"
  $winnow search $index                       # reads questions, one a line
  $winnow index YOUR_FOLDER --model $model -o my.wnindex
  $winnow compare "a question" --doc "one passage" --doc "another"
END
