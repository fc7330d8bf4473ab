#!/usr/bin/env python3
"""Winnow and the reference implementations side by side on whole collections: the largest differences.

    pip install torch transformers onnxruntime tokenizers numpy
    bench/parity.py --data shared/data [--build build] [--questions-every 5]

`make test` holds samples of these by committed goldens; this script needs no goldens and skips nothing:
every XQuAD passage in five languages as an embedding (all-MiniLM-L6-v2 by transformers, bge-small-en-v1.5 by ONNX
Runtime when its model.onnx is in the cache), and XQuAD questions with their passages, and DL19's BM25 top 100 of
5 queries, as pairs of the committed reranker. Everything is f32. Exits with 1 when a difference is over the bound:
1e-5 a component of an embedding, 1e-4 a logit.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
LANGUAGES = ("en", "de", "es", "zh", "ar")


def lines(path):
    return [json.loads(line) for line in open(path, encoding="utf-8")]


def winnow(build, verb, model, rows):
    text = "".join(json.dumps(r) + "\n" for r in rows)
    out = subprocess.run([build / "winnow", verb, "--model", str(model)], input=text.encode(), check=True,
                         stdout=subprocess.PIPE).stdout
    return [json.loads(line) for line in out.splitlines()]


def batches(tokenizer, items, limit, size=16):
    """By falling length, so that padding stays small; gives positions and padded arrays."""
    tokenizer.enable_truncation(limit)
    tokenizer.no_padding()
    encoded = tokenizer.encode_batch(items)
    order = sorted(range(len(items)), key=lambda i: -len(encoded[i].ids))
    for i in range(0, len(order), size):
        part = order[i:i + size]
        width = len(encoded[part[0]].ids)
        ids, types, mask = (np.zeros((len(part), width), np.int64) for _ in range(3))
        for row, j in enumerate(part):
            n = len(encoded[j].ids)
            ids[row, :n], types[row, :n], mask[row, :n] = encoded[j].ids, encoded[j].type_ids, 1
        yield part, ids, types, mask


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def by_transformers(model_dir, items, limit, head):
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModel, AutoModelForSequenceClassification
    kind = AutoModelForSequenceClassification if head else AutoModel
    model = kind.from_pretrained(model_dir, dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    out = [None] * len(items)
    for part, ids, types, mask in batches(tokenizer, items, limit):
        with torch.inference_mode():
            result = model(input_ids=torch.from_numpy(ids), token_type_ids=torch.from_numpy(types),
                           attention_mask=torch.from_numpy(mask))
        if head:
            values = result.logits[:, 0].numpy()
        else:
            weights = mask[:, :, None].astype(np.float32)
            values = unit((result.last_hidden_state.numpy() * weights).sum(1) / weights.sum(1))
        for row, j in enumerate(part):
            out[j] = values[row]
    return np.array(out)


def by_onnxruntime(model_dir, items, limit):
    import onnxruntime
    from tokenizers import Tokenizer
    session = onnxruntime.InferenceSession(str(model_dir / "model.onnx"), providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    out = [None] * len(items)
    for part, ids, types, mask in batches(tokenizer, items, limit):
        states = session.run(None, {"input_ids": ids, "attention_mask": mask, "token_type_ids": types})[0]
        for row, j in enumerate(part):
            out[j] = unit(states[:, 0])[row]
    return np.array(out)


def dl19(data, queries=5, depth=100):
    folder = data / "msmarco_dl19"
    text = {r["_id"]: r["text"] for r in lines(folder / "corpus.jsonl")}
    run = collections.defaultdict(list)
    for line in open(folder / "runs" / "BM25.trec", encoding="utf-8"):
        q, _, d, rank, *_ = line.split()
        run[q].append((int(rank), d))
    asked = [r for r in lines(folder / "queries.jsonl") if r["_id"] in run][:queries]
    return [(r["text"], text[d]) for r in asked for _, d in sorted(run[r["_id"]])[:depth]]


def xquad(data, language, every):
    folder = data / f"xquad_{language}"
    passages = {r["_id"]: r["text"] for r in lines(folder / "corpus.jsonl")}
    questions = {r["_id"]: r["text"] for r in lines(folder / "queries.jsonl")}
    qrels = next((folder / "qrels").glob("*.tsv"))
    pairs = [row.split("\t")[:2] for row in qrels.read_text(encoding="utf-8").splitlines()[1:]]
    return list(passages.values()), [(questions[q], passages[d]) for q, d in pairs[::every]]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--data", type=pathlib.Path, required=True)
    p.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    p.add_argument("--questions-every", type=int, default=5)
    a = p.parse_args()
    if not (a.data / "xquad_en").is_dir():
        sys.exit(f"parity: {a.data} has no collections: SKIPPED")
    bad = False

    def report(name, ours, reference, bound):
        nonlocal bad
        worst = float(np.abs(np.asarray(ours, np.float64) - reference).max())
        bad |= not worst <= bound
        print(f"{time.strftime('%H:%M:%S')} {name}: {len(reference)} compared, largest difference {worst:.2e} "
              f"(bound {bound:g})", flush=True)

    def place(name):
        r = subprocess.run([a.build / "winnow", "model", "path", name], capture_output=True, text=True)
        return pathlib.Path(r.stdout.strip()) if r.returncode == 0 else None

    reranker = ROOT / "models" / "reranker-minilm-l6-v0"

    def pairs_of(name, pairs):
        ours = winnow(a.build, "score", reranker, [{"query": q, "document": d} for q, d in pairs])
        report(name, [r["logit"] for r in ours], by_transformers(reranker, pairs, 512, True), 1e-4)

    pairs_of("DL19, reranker, logits of pairs", dl19(a.data))
    collections_ = {x: xquad(a.data, x, a.questions_every) for x in LANGUAGES}
    for language, (_, pairs) in collections_.items():
        pairs_of(f"XQuAD {language}, reranker, logits of pairs", pairs)
    for name, limit in (("all-MiniLM-L6-v2", 256), ("bge-small-en-v1.5", 512)):
        folder = place(name)
        if not folder or (name.startswith("bge") and not (folder / "model.onnx").is_file()):
            print(f"{name}: not in the cache (or not as ONNX): SKIPPED")
            continue
        for language, (passages, _) in collections_.items():
            ours = [r["embedding"] for r in winnow(a.build, "embed", folder, [{"text": t} for t in passages])]
            reference = (by_onnxruntime(folder, passages, limit) if name.startswith("bge") else
                         by_transformers(folder, passages, limit, False))
            report(f"XQuAD {language}, {name}, embeddings", ours, reference, 1e-5)
    sys.exit(bad)


if __name__ == "__main__":
    main()
