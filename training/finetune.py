"""finetune.py -- fine-tune the reranker on your own labelled queries.

Input: your passages (a winnow index, read only, or a corpus.jsonl) and a
queries file, JSON lines:

    {"query": "how do I reset the pump", "relevant": [12, 40]}
    {"query": "...", "relevant": ["guide/pump.md"], "irrelevant": [13]}
    {"query": "...", "expected_source": "pump.md"}

A number is a passage of the index (chunks.id, which `winnow search` prints
with --json); a string is a document (the path as it was given, or the _id of
a corpus), all of whose passages then count. "expected_source" is what winnow's
other commands read: a document by the end of its path. "irrelevant" is optional. A fifth
of the queries is held out by a hash of their text, so the same query is held
out in every run. The script measures reranking of BM25's top --depth on the
held-out part before and after (nDCG@10 and MRR@10 with a paired bootstrap
interval of the gain), and says so when the gain may be chance. Fewer than
about 50 queries: expect little.

Training is train.py's step on labelled groups, with a small learning rate and
a few passes; half of the negatives are BM25's best passages that you did not
mark relevant. If your judgements are incomplete some of those are right
answers: --skip-top N leaves out the N best of them.
"""
import argparse
import hashlib
import json
import os
import random
import sqlite3

import numpy as np
import torch

from collection import BM25, read_corpus, read_jsonl
from train import PairTokenizer, batch_gradients, export, load_model, score_pairs

GROUP = 8


APPLICATION_ID, SCHEMA_VERSION, CORPUS_LINE = 0x776E6978, 1, 2  # docs/INDEX_FORMAT.md


def read_index(path):
    """(texts, {label: rows}) of a winnow index, opened read-only. The text of
    a passage is what winnow's models read: a corpus line's title goes before."""
    db = sqlite3.connect(f"file:{os.path.abspath(path)}?mode=ro", uri=True)
    try:
        found = (db.execute("PRAGMA application_id").fetchone()[0], db.execute("PRAGMA user_version").fetchone()[0])
        if found != (APPLICATION_ID, SCHEMA_VERSION):
            raise SystemExit(f"{path}: not a winnow index of schema {SCHEMA_VERSION} (application_id, version: {found})")
        rows = db.execute("SELECT c.id, d.source, d.kind, d.title, c.content FROM chunks c "
                          "JOIN documents d ON d.id = c.document ORDER BY c.id").fetchall()
    except sqlite3.DatabaseError as error:
        raise SystemExit(f"{path}: cannot be read as a winnow index: {error}") from error
    finally:
        db.close()
    texts, labels = [], {}
    for row, (number, source, kind, title, content) in enumerate(rows):
        texts.append(f"{title} {content}".strip() if kind == CORPUS_LINE and title else content)
        labels[number] = [row]
        labels.setdefault(source, []).append(row)
    return texts, labels


def read_passages(args):
    if args.index:
        return read_index(args.index)
    ids, texts = read_corpus(args.corpus)
    return texts, {d: [i] for i, d in enumerate(ids)}


def read_labelled(path, labels):
    """[(query, relevant rows, irrelevant rows)], unknown labels reported."""
    def rows(record, key):
        given = record.get(key) or []
        known = [d for d in given if d in labels]
        return [i for d in known for i in labels[d]], len(given) - len(known)

    for name in [s for s in labels if isinstance(s, str) and "/" in s]:
        parts = name.split("/")
        for k in range(1, len(parts)):
            labels.setdefault("/".join(parts[k:]), labels[name])
    out, unknown = [], 0
    for number, record in enumerate(read_jsonl(path), 1):
        expected = record.get("expected_source")
        if expected and not record.get("relevant"):
            record["relevant"] = [expected] if isinstance(expected, str) else expected
        if "query" not in record or not record.get("relevant"):
            raise SystemExit(f"{path}: line {number}: needs \"query\" and \"relevant\" or \"expected_source\"")
        (good, lost), (bad, _) = rows(record, "relevant"), rows(record, "irrelevant")
        unknown += lost
        if good:
            out.append((record["query"], good, bad))
    if unknown:
        print(f"{unknown} relevant labels name no passage or document and were left out")
    if len(out) < 10:
        raise SystemExit(f"{path}: {len(out)} usable queries; at least 10 are needed to hold some out")
    return out


def is_held_out(query, share):
    return int(hashlib.sha256(query.encode()).hexdigest()[:8], 16) / 2**32 < share


def measure(model, tok, labelled, texts, bm25, args):
    """Per query (nDCG@10, MRR@10) of reranking BM25's top --depth."""
    jobs, pairs = [], []
    for query, good, _ in labelled:
        rows = [int(i) for i in bm25.search(query, args.depth)[0]]
        jobs.append((rows, set(good), len(pairs)))
        pairs += [(query, texts[i]) for i in rows]
    scores, out = score_pairs(model, tok, pairs, threads=args.threads), []
    for rows, good, at in jobs:
        order = np.argsort(-scores[at:at + len(rows)], kind="stable")[:10]
        hits = [rows[i] in good for i in order]
        ideal = sum(1 / np.log2(r + 2) for r in range(min(10, len(good))))
        gain = sum(1 / np.log2(r + 2) for r, h in enumerate(hits) if h)
        out.append((gain / ideal, 1 / (1 + hits.index(True)) if True in hits else 0.0))
    return np.asarray(out)


def make_group(query, good, bad, texts, bm25, args, rng):
    known = set(good) | set(bad)
    mined = [int(i) for i in bm25.search(query, args.skip_top + 30)[0][args.skip_top:] if int(i) not in known]
    negatives = rng.sample(bad, min(len(bad), 3)) + rng.sample(mined, min(len(mined), 4))
    while len(negatives) < min(GROUP - 1, len(texts) - len(good)):
        i = rng.randrange(len(texts))
        if i not in good and i not in negatives:
            negatives.append(i)
    rows = [rng.choice(good)] + negatives
    return {"q": query, "p": [texts[i] for i in rows], "y": [1] + [0] * (len(rows) - 1)}


def train(model, tok, labelled, texts, bm25, args):
    from concurrent.futures import ThreadPoolExecutor

    rng = random.Random(args.seed)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.lr, weight_decay=0.01)
    total = args.epochs * ((len(labelled) + 3) // 4)
    pool, step = ThreadPoolExecutor(args.threads), 0
    for epoch in range(args.epochs):
        rng.shuffle(labelled)
        losses = []
        for at in range(0, len(labelled), 4):
            batch = [make_group(*item, texts, bm25, args, rng) for item in labelled[at:at + 4]]
            for g in optimizer.param_groups:
                g["lr"] = args.lr * min(1.0, (step + 1) / (0.1 * total + 1)) * (1 - step / total)
            loss, _ = batch_gradients(pool, model, tok, batch, args, trained)
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            losses.append(loss)
            step += 1
        print(f"epoch {epoch + 1} of {args.epochs}: loss {np.mean(losses):.4f}", flush=True)


def report(before, after):
    gain = after - before
    draws = np.random.default_rng(8).integers(0, len(gain), (2000, len(gain)))
    for k, name in enumerate(("nDCG@10", "MRR@10")):
        low, high = np.percentile(gain[draws, k].mean(1), [2.5, 97.5])
        print(f"held-out {name}: {before[:, k].mean():.4f} before, {after[:, k].mean():.4f} after, "
              f"gain {gain[:, k].mean():+.4f} [{low:+.4f}, {high:+.4f}] over {len(gain)} queries")
    if np.percentile(gain[draws, 0].mean(1), 2.5) <= 0:
        print("the interval of the nDCG gain holds 0: on this evidence, do not prefer the new model")


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    source = p.add_mutually_exclusive_group(required=True)
    source.add_argument("--index", help="a winnow index (SQLite), read only")
    source.add_argument("--corpus", help="corpus.jsonl with _id, text and perhaps title")
    p.add_argument("--queries", required=True)
    p.add_argument("--model", default="models/reranker-minilm-l6-v1")
    p.add_argument("--out", required=True, help="folder for the fine-tuned model")
    p.add_argument("--epochs", type=int, default=3)
    p.add_argument("--lr", type=float, default=3e-5)
    p.add_argument("--held", type=float, default=0.2, help="share of queries held out")
    p.add_argument("--depth", type=int, default=30, help="BM25 candidates reranked when measuring")
    p.add_argument("--skip-top", type=int, default=0)
    p.add_argument("--max-tokens", type=int, default=256)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=8)
    args = p.parse_args()
    args.device, args.label_weight = "cpu", 1.0
    return args


def main():
    args = arguments()
    torch.set_num_threads(1)
    texts, labels = read_passages(args)
    labelled = read_labelled(args.queries, labels)
    held = [x for x in labelled if is_held_out(x[0], args.held)]
    kept = [x for x in labelled if not is_held_out(x[0], args.held)]
    if not held or not kept:
        raise SystemExit("the held-out part or the training part is empty: more queries are needed")
    print(f"{len(texts)} passages, {len(kept)} queries to train on, {len(held)} held out", flush=True)
    bm25, tok = BM25(texts), PairTokenizer(args.model, args.max_tokens)
    model = load_model(args.model)
    before = measure(model.eval(), tok, held, texts, bm25, args)
    train(model.train(), tok, kept, texts, bm25, args)
    after = measure(model.eval(), tok, held, texts, bm25, args)
    report(before, after)
    export(model.state_dict(), model, args.out, args.model)
    print(f"written: {args.out}")


if __name__ == "__main__":
    main()
