#!/usr/bin/env python3
"""quality.py -- what lower precision costs in effectiveness, the BM25 top-100 of TREC DL19 reranked: a part of `make bench`.

    tools/bench.sh quality [--data DIR] [--models M ...] [--precisions f32 bf16 int8] [--candidates 100]

Every model scores every pair through `winnow score --precision P`. Printed for each: nDCG@10 (trec_eval's: linear
gain, ties by document id descending), its change against f32, Kendall's tau of a query's two rankings (mean over the
queries, and the least), the share of queries whose ten best stayed the same documents, the largest change of a
score, and the error: the root mean square change of a score, over the scores' deviation within a query. The bounds: nDCG@10 changes by at most 0.002 in bf16 and 0.005 in int8, either way. A precision that
winnow or the processor lacks is left out by name. Python's standard library only. Results: bench/results/quality.csv.
"""
import argparse
import collections
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

import bench_common as common
import bench_targets as targets


def load(folder, most):
    text = {}
    for line in open(folder / "corpus.jsonl", encoding="utf-8"):
        r = json.loads(line)
        text[r["_id"]] = r["text"]
    queries = {}
    for line in open(folder / "queries.jsonl", encoding="utf-8"):
        r = json.loads(line)
        queries[r["_id"]] = r["text"]
    qrels = collections.defaultdict(dict)
    for path in sorted((folder / "qrels").iterdir()):
        for line in open(path):
            f = line.rstrip("\n").split("\t")
            if len(f) == 3 and f[2].lstrip("-").isdigit():
                qrels[f[0]][f[1]] = int(f[2])
    run = collections.defaultdict(list)
    for line in open(folder / "runs" / "BM25.trec"):
        q, _, d, rank, *_ = line.split()
        run[q].append((int(rank), d))
    pairs = [(q, d) for q in queries if q in qrels for _, d in sorted(run[q])[:most]]
    return text, queries, qrels, pairs


def score(model, precision, text, queries, pairs):
    with tempfile.TemporaryFile("w+", encoding="utf-8") as f:
        for q, d in pairs:
            f.write(json.dumps({"query": queries[q], "document": text[d]}) + "\n")
        f.seek(0)
        done = subprocess.run([str(common.ROOT / "build" / "winnow"), "score", "--model", str(model), "--precision", precision], stdin=f,
                              capture_output=True, text=True)
    if done.returncode:
        raise common.Skip(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "winnow score failed")
    scores = collections.defaultdict(dict)
    for (q, d), line in zip(pairs, done.stdout.splitlines(), strict=True):
        r = json.loads(line)
        scores[q][d] = r.get("logit", r["score"])
    return scores


def ranking(scores):
    return sorted(scores, key=lambda d: (scores[d], d), reverse=True)


def ndcg(order, judged, k=10):
    def gain(rels):
        return sum(r / math.log2(i + 2) for i, r in enumerate(rels[:k]))
    ideal = gain(sorted((max(r, 0) for r in judged.values()), reverse=True))
    return gain([max(judged.get(d, 0), 0) for d in order]) / ideal if ideal else 0.0


def tau(a, b):
    """Of two rankings of the same documents, no ties."""
    place = {d: i for i, d in enumerate(b)}
    seq, n = [place[d] for d in a], len(a)
    discordant = sum(seq[i] > seq[j] for i in range(n) for j in range(i + 1, n))
    return 1 - 4 * discordant / (n * (n - 1)) if n > 1 else 1.0


def row(model, precision, scores, base, qrels):
    orders = {q: ranking(s) for q, s in scores.items()}
    first = {q: ranking(s) for q, s in base.items()}
    value = sum(ndcg(o, qrels[q]) for q, o in orders.items()) / len(orders)
    before = sum(ndcg(o, qrels[q]) for q, o in first.items()) / len(first)
    taus = [tau(first[q], orders[q]) for q in orders]
    same = sum(set(first[q][:10]) == set(orders[q][:10]) for q in orders) / len(orders)
    worst = max(abs(scores[q][d] - base[q][d]) for q in scores for d in scores[q])
    error = sum((scores[q][d] - base[q][d]) ** 2 for q in scores for d in scores[q])
    spread = sum(statistics.pvariance(s.values()) * len(s) for s in base.values())
    return {"model": pathlib.Path(model).name, "precision": precision, "queries": len(orders), "ndcg_cut_10": round(value, 4),
            "change": round(value - before, 4), "tau": round(sum(taus) / len(taus), 4), "least_tau": round(min(taus), 4),
            "same_top10": round(same, 3), "largest_score_change": round(worst, 4), "error": round(math.sqrt(error / spread), 5)}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=pathlib.Path, default=common.SHARED / "data" / "msmarco_dl19")
    p.add_argument("--models", nargs="+", default=[common.RERANKER, common.MODELS / "bge-small-en-v1.5", common.ROOT / "models" / "reranker-minilm-l6-v0"])
    p.add_argument("--precisions", nargs="+", choices=common.PRECISIONS, default=list(common.PRECISIONS))
    p.add_argument("--candidates", type=int, default=100)
    a = p.parse_args()
    common.present(a.data, "collection")
    text, queries, qrels, pairs = load(a.data, a.candidates)
    rows = []
    for model in a.models:
        base = score(model, "f32", text, queries, pairs)
        for precision in a.precisions:
            try:
                scores = base if precision == "f32" else score(model, precision, text, queries, pairs)
            except common.Skip as e:
                print(f"winnow {precision}: left out ({e})", flush=True)
                continue
            rows.append(row(model, precision, scores, base, qrels))
            print("  ".join(f"{k} {v}" for k, v in rows[-1].items()), flush=True)
    targets.show(targets.quality(rows))
    return rows


if __name__ == "__main__":
    sys.exit(common.part("quality", main))
