"""evaluate.py -- the table: nDCG@10 of each system on each task.

Every system orders the same candidates of a task: BM25's published top 100
on TREC DL19, bge-small's top 50 elsewhere. nDCG@10 is trec_eval's form
(gain = grade, ideal over all judged passages, ties by candidate order), the
interval is the 2.5th to 97.5th percentile of 2,000 bootstrap resamples of
the queries. Rerankers are scored by `winnow score`, the program that ships them
(f32, or --precision bf16), or by PyTorch in f32 where it is not built (slower). Scores are
cached per system, task and weights, so adding a system costs only its own pairs.

`blend` is w * cosine(bge-small) + logit of the last --reranker, with w
fitted by conditional logistic regression on labelled groups that mine.py
kept out of training (blend.jsonl): no evaluation task is looked at.
--blend-out writes the weights, for each bi-encoder, into the winnow_blend.json that
a model directory carries.
"""
import argparse
import hashlib
import json
import os
import subprocess
import tempfile

import numpy as np
import torch

from collection import BM25, read_corpus, read_jsonl, read_qrels, read_queries, read_run
from teacher import TEACHERS, BiEncoder, embed_cached
from train import PairTokenizer, load_model, score_pairs

SAMPLE_SEED = 8


class Task:
    """Queries, candidates and judgements; candidates are row numbers."""

    def __init__(self, name, corpus, queries, qrels):
        self.name = name
        self.ids, self.texts = read_corpus(corpus)
        self.row = {d: i for i, d in enumerate(self.ids)}
        self.queries = read_queries(queries)
        self.qrels = read_qrels(qrels)
        self.keys = sorted(q for q, docs in self.qrels.items()
                           if q in self.queries and any(g > 0 for g in docs.values()))
        self.candidates = {}

    def sample(self, n):
        if n and n < len(self.keys):
            picked = np.random.default_rng(SAMPLE_SEED).permutation(len(self.keys))[:n]
            self.keys = [self.keys[i] for i in sorted(picked)]

    def ndcg(self, query, scores, k=10):
        rows = self.candidates[query]
        order = np.lexsort((np.arange(len(rows)), -np.asarray(scores)))
        # A document of several passages (the demo) stands at its best one.
        docs = list(dict.fromkeys(self.ids[rows[i]] for i in order))[:k]
        grade = self.qrels[query]
        discount = 1 / np.log2(np.arange(2, k + 2))
        got = sum(max(0, grade.get(d, 0)) * discount[r] for r, d in enumerate(docs))
        ideal = sorted((max(0, g) for g in grade.values()), reverse=True)[:k]
        return got / sum(g * d for g, d in zip(ideal, discount))


def load_task(name, data, examples):
    if name == "demo":
        return demo_task(examples)
    folder = {"dl19": "msmarco_dl19", "scifact": "scifact", "cranfield": "cranfield", "trecqa": "trecqa_wang"}[name]
    folder = os.path.join(data, folder)
    qrels = "qrels/full.trec" if name == "dl19" else "qrels/test.tsv"
    return Task(name, os.path.join(folder, "corpus.jsonl"), os.path.join(folder, "queries.jsonl"),
                os.path.join(folder, qrels))


def demo_task(examples):
    """The demo's own questions. A document counts by its best passage; its
    passages are runs of paragraphs of about 120 words."""
    task = Task.__new__(Task)
    task.name, task.ids, task.texts, task.candidates = "demo", [], [], {}
    folder = os.path.join(examples, "docs")
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            held = ""
            for paragraph in [p.strip() for p in f.read().split("\n\n")] + [None]:
                if paragraph is not None:
                    held = f"{held}\n{paragraph}".strip()
                if held and (paragraph is None or len(held.split()) >= 120):
                    task.ids.append(name)
                    task.texts.append(held)
                    held = ""
    task.queries, task.qrels = {}, {}
    for number, record in enumerate(read_jsonl(os.path.join(examples, "queries.jsonl"))):
        if record.get("expected_source") in task.ids:
            task.queries[str(number)] = record["query"]
            task.qrels[str(number)] = {record["expected_source"]: 1}
    task.keys = sorted(task.queries)
    return task


def embeddings(name, args, task, texts, what, query):
    cache = os.path.join(args.cache, "embeddings", name, f"eval-{task.name}-{what}.npy")
    folder = os.path.join(args.models, name)
    return embed_cached(name, folder, texts, cache, query, lambda s: print(s, flush=True), args.threads,
                        args.max_tokens).astype(np.float32)


def set_candidates(task, args):
    if task.name == "dl19":
        run = read_run(os.path.join(args.data, "msmarco_dl19", "runs", "BM25.trec"), 100)
        task.candidates = {q: [task.row[d] for d in run[q] if d in task.row] for q in task.keys}
        return
    vectors = embeddings("bge-small-en-v1.5", args, task, task.texts, "passages", False)
    queries = embeddings("bge-small-en-v1.5", args, task, [task.queries[q] for q in task.keys], "queries", True)
    for key, q in zip(task.keys, queries):
        task.candidates[key] = [int(i) for i in np.argsort(-(vectors @ q), kind="stable")[:50]]


def bi_encoder_scores(name, args, task):
    rows = list(range(len(task.texts)))
    if task.name == "dl19":  # candidates are BM25's: the rest of the pool is never looked at
        rows = sorted({i for c in task.candidates.values() for i in c})
    vectors = embeddings(name, args, task, [task.texts[i] for i in rows], "passages", False)
    queries = embeddings(name, args, task, [task.queries[q] for q in task.keys], "queries", True)
    at = {row: n for n, row in enumerate(rows)}
    return {key: (vectors[[at[i] for i in task.candidates[key]]] @ q).tolist() for key, q in zip(task.keys, queries)}


def bm25_scores(task, args):
    if task.name == "dl19":  # the run itself: its order is the score
        return {q: [-i for i in range(len(task.candidates[q]))] for q in task.keys}
    bm25, out = BM25(task.texts), {}
    for key in task.keys:
        rows, scores = bm25.search(task.queries[key], len(task.texts))
        found = dict(zip(rows.tolist(), scores.tolist()))
        out[key] = [found.get(i, 0.0) for i in task.candidates[key]]
    return out


def file_digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()[:16]


def pair_scores(folder, pairs, args):
    """f32 logits of (query, passage) pairs by winnow, or by PyTorch without it."""
    if not os.access(args.winnow, os.X_OK):
        tok, model = PairTokenizer(folder, args.max_tokens), load_model(folder).eval()
        return score_pairs(model, tok, pairs, threads=args.threads, exact=True)
    with tempfile.TemporaryFile() as lines:
        for query, passage in pairs:
            lines.write(json.dumps({"query": query, "document": passage}).encode() + b"\n")
        lines.seek(0)
        out = subprocess.run([args.winnow, "score", "--model", folder, "--max-length", str(args.max_tokens),
                              "--precision", args.precision, "--threads", str(args.threads)], stdin=lines, stdout=subprocess.PIPE, check=True).stdout
    scores = np.array([json.loads(line)["logit"] for line in out.split(b"\n") if line], np.float32)
    if len(scores) != len(pairs):
        raise SystemExit(f"{args.winnow} scored {len(scores)} of {len(pairs)} pairs")
    return scores


def reranker_scores(folder, args, task):
    stamp = file_digest(os.path.join(folder, "model.safetensors"))
    cache = os.path.join(args.cache, "scores", f"{task.name}-{stamp}-{args.max_tokens}-{args.precision}.json")
    known = {}
    if os.path.exists(cache):
        with open(cache) as f:
            known = json.load(f)
    wanted = [q for q in task.keys if q not in known]
    if wanted:
        pairs = [(task.queries[q], task.texts[i]) for q in wanted for i in task.candidates[q]]
        scores, at = pair_scores(folder, pairs, args), 0
        for q in wanted:
            n = len(task.candidates[q])
            known[q] = [round(float(s), 5) for s in scores[at:at + n]]
            at += n
        os.makedirs(os.path.dirname(cache), exist_ok=True)
        with open(cache, "w") as f:
            json.dump(known, f)
    return {q: known[q] for q in task.keys}


def fit_blend(name, groups, pairs, logits, args):
    """w of w * cosine + logit, from held-back labelled groups (MLE of the
    positive's place; the logits' own scale is fitted too and divided out)."""
    bi = BiEncoder(name, os.path.join(args.models, name), args.threads)
    passages, queries = bi.encode([p for _, p in pairs]), bi.encode([g["q"] for g in groups], query=True)
    size = len(groups[0]["p"])
    cosine = np.einsum("gpd,gd->gp", passages.reshape(len(groups), size, -1), queries)
    x = torch.tensor(np.stack([cosine, logits.reshape(-1, size)], -1), dtype=torch.float64)
    weight = torch.tensor([10.0, 1.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=200)

    def closure():
        optimizer.zero_grad()
        loss = -torch.log_softmax(x @ weight, 1)[:, 0].mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    a, b = weight.detach().tolist()
    print(f"blend with {name}: {len(groups)} groups, cosine weight {a:.3f}, logit weight {b:.3f}: "
          f"{a / b:.2f}", flush=True)
    return round(max(a / b, 0.0), 2)


def fit_blends(args):
    """{bi-encoder: weight} for the last reranker, written to --blend-out."""
    groups = list(read_jsonl(os.path.join(args.cache, "blend.jsonl")))
    pairs = [(g["q"], p) for g in groups for p in g["p"]]
    logits = pair_scores(args.rerankers[-1][1], pairs, args)
    weights = {name: fit_blend(name, groups, pairs, logits, args) for name in TEACHERS}
    if args.blend_out:
        with open(args.blend_out, "w") as f:
            json.dump({"blend": weights}, f, indent=2)
            f.write("\n")
    return weights["bge-small-en-v1.5"]


def interval(values):
    values = np.asarray(values)
    draws = np.random.default_rng(SAMPLE_SEED).integers(0, len(values), (2000, len(values)))
    low, high = np.percentile(values[draws].mean(1), [2.5, 97.5])
    return low, high


def evaluate_task(task, args, blend_weight):
    set_candidates(task, args)
    bge = bi_encoder_scores("bge-small-en-v1.5", args, task)
    systems = {"BM25": bm25_scores(task, args), "all-MiniLM-L6-v2": bi_encoder_scores("all-MiniLM-L6-v2", args, task),
               "bge-small-en-v1.5": bge}
    for name, folder in args.rerankers:
        systems[name] = reranker_scores(folder, args, task)
    if blend_weight is not None:
        name = args.rerankers[-1][0]
        systems[f"blend of bge-small and {name}"] = {
            q: [blend_weight * c + s for c, s in zip(bge[q], systems[name][q])] for q in task.keys}
    return {name: {q: task.ndcg(q, s[q]) for q in task.keys} for name, s in systems.items()}


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--data", default=os.environ.get("WN_SHARED", "../shared") + "/data")
    p.add_argument("--models", default=os.path.expanduser("~/.cache/winnow/models"))
    p.add_argument("--cache", default="training/runs")
    p.add_argument("--examples", default="examples")
    p.add_argument("--tasks", default="dl19,scifact,cranfield,trecqa,demo")
    p.add_argument("--reranker", action="append", default=[], metavar="NAME=DIR")
    p.add_argument("--sample", type=int, default=0, help="queries per task, 0 for all (DL19 always has all)")
    p.add_argument("--max-tokens", type=int, default=256)
    p.add_argument("--blend", action="store_true", help="add the blend with the last reranker")
    p.add_argument("--blend-out", help="write the fitted weights here (a model's winnow_blend.json)")
    p.add_argument("--blend-weight", type=float, help="use this weight instead of fitting one")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--winnow", default="build/winnow")
    p.add_argument("--precision", default="f32", choices=("f32", "bf16"), help="of the rerankers' scores")
    p.add_argument("--json", help="write the per-query figures here")
    args = p.parse_args()
    args.rerankers = [tuple(r.split("=", 1)) for r in args.reranker]
    return args


def main():
    args = arguments()
    torch.set_num_threads(1)
    weight = args.blend_weight
    if args.blend and weight is None:
        weight = fit_blends(args)
    table, names = {}, []
    for name in args.tasks.split(","):
        task = load_task(name, args.data, args.examples)
        if name != "dl19":
            task.sample(args.sample)
        table[name] = evaluate_task(task, args, weight)
        names.append(f"{name} ({len(task.keys)})")
        means = ", ".join(f"{s} {np.mean(list(v.values())):.4f}" for s, v in table[name].items())
        print(f"{name}: {means}", flush=True)
    print("\n| nDCG@10 | " + " | ".join(names) + " | mean |")
    print("|---" * (len(names) + 2) + "|")
    for system in next(iter(table.values())):
        cells, means = [], []
        for task in table.values():
            values = list(task[system].values())
            low, high = interval(values)
            means.append(np.mean(values))
            cells.append(f"{np.mean(values):.3f} [{low:.3f}, {high:.3f}]")
        print(f"| {system} | " + " | ".join(cells) + f" | {np.mean(means):.3f} |")
    if args.json:
        with open(args.json, "w") as f:
            json.dump(table, f, indent=1, sort_keys=True)


if __name__ == "__main__":
    main()
