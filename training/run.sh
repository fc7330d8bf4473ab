#!/bin/sh
# run.sh -- the whole recipe: mine the groups, train, write the model, measure.
# Every stage resumes: run it again after an interruption. Settings by
# environment: WN_SHARED (data), RUN (working folder), INIT (starting
# weights), PAIRS and COOLDOWN, MAX_TOKENS, PYTHON, THREADS.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
RUN=${RUN:-training/runs}
DATA=${WN_SHARED:-../shared}/data
INIT=${INIT:-models/reranker-minilm-l6-v0}
THREADS=${THREADS:-2}
OUT=models/reranker-minilm-l6-v1

[ -d "$DATA" ] || { echo "run.sh: no data at $DATA (set WN_SHARED)" >&2; exit 1; }
mkdir -p "$RUN"
[ -f "$RUN/groups.jsonl" ] || "$PYTHON" training/mine.py --data "$DATA" --out "$RUN" --threads "$THREADS"
OMP_NUM_THREADS=1 "$PYTHON" training/train.py --run "$RUN/v1" --groups "$RUN/groups.jsonl" \
    --held "$RUN/held.jsonl" --init "$INIT" --pairs "${PAIRS:-400000}" --cooldown "${COOLDOWN:-40000}" \
    --max-tokens "${MAX_TOKENS:-96}" --threads "$THREADS"
mkdir -p "$OUT"
cp "$RUN/v1/best/"* "$OUT/"
OMP_NUM_THREADS=1 "$PYTHON" training/evaluate.py --data "$DATA" --cache "$RUN" --threads "$THREADS" \
    --reranker v0=models/reranker-minilm-l6-v0 --reranker "v1=$OUT" --blend --blend-out "$OUT/winnow_blend.json" --json "$RUN/table.json"
