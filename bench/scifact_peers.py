#!/usr/bin/env python3
"""SciFact's dense first stage by winnow and by sentence-transformers, both measured by pytrec_eval, in one run.

    pip install torch sentence-transformers onnx pytrec-eval-terrier
    bench/scifact_peers.py --data shared/data/scifact [--model DIR] [--winnow build/winnow]
                           [--index FILE] [--documents N] [--csv FILE]

winnow answers with `eval --beir --no-rerank --save-runs`; sentence-transformers encodes the same corpus (title,
blank, text) and queries with the model's own query prompt, and an exact scan ranks them, f32 on the CPU. Both runs
hold 100 documents a query and are measured here by pytrec_eval, and winnow's own numbers are printed
beside. A model directory that holds only model.onnx (as the cache's bge-small-en-v1.5 does) is turned
into a torch model by the names of its graph's nodes. Nearly all of the time goes into embedding 5,183 documents
twice, some twenty minutes of one core; with --documents N the corpus is every judged document and the first
of the others, N in all, for both."""
import argparse
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pytrec_eval

ROOT = pathlib.Path(__file__).resolve().parents[1]
MEASURES = {"ndcg_cut_10", "recall_100", "map", "recip_rank"}


def torch_weights(onnx_path):
    """A BertModel's state dict from an exported graph: named initialisers as they are, the unnamed
    matrices by the node that multiplies with them ("/encoder/layer.0/attention/self/query/MatMul")."""
    import onnx
    import torch
    from onnx import numpy_helper
    graph = onnx.load(onnx_path).graph
    values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    state = {k: torch.tensor(v) for k, v in values.items() if k.endswith((".weight", ".bias"))}
    for node in graph.node:
        matrix = [x for x in node.input if x in values and values[x].ndim == 2]
        if node.op_type == "MatMul" and matrix:
            name = node.name.strip("/").removesuffix("/MatMul").replace("/", ".")
            state[name + ".weight"] = torch.tensor(values[matrix[0]].T.copy())
    return state


def smaller(data, qrels, documents, work):
    """The folder with a corpus of `documents` lines: what is judged, then the first of the rest."""
    judged = {d for q in qrels.values() for d in q}
    rows = lines(data / "corpus.jsonl")
    rest = [r for r in rows if r["_id"] not in judged]
    keep = {r["_id"] for r in rest[:max(0, documents - len(judged))]} | judged
    folder = work / "smaller"
    (folder / "qrels").mkdir(parents=True)
    (folder / "queries.jsonl").symlink_to((data / "queries.jsonl").resolve())
    (folder / "qrels" / "test.tsv").symlink_to((data / "qrels" / "test.tsv").resolve())
    with open(folder / "corpus.jsonl", "w", encoding="utf-8") as f:
        f.writelines(json.dumps(r) + "\n" for r in rows if r["_id"] in keep)
    return folder


def open_peer(model_dir, work):
    from sentence_transformers import SentenceTransformer
    from transformers import AutoConfig, AutoModel
    if not (model_dir / "model.safetensors").exists():
        config = AutoConfig.from_pretrained(model_dir)
        model = AutoModel.from_config(config)
        missing, unexpected = model.load_state_dict(torch_weights(model_dir / "model.onnx"), strict=False)
        missing = [m for m in missing if "position_ids" not in m and "pooler" not in m]
        if missing or [u for u in unexpected if "pooler" not in u]:
            sys.exit(f"the graph's names do not give a BertModel: missing {missing}, unexpected {unexpected}")
        for name in os.listdir(model_dir):
            if name not in ("model.onnx", "onnx"):
                (work / name).symlink_to(model_dir / name)
        model.save_pretrained(work / "torch")
        (work / "model.safetensors").symlink_to(work / "torch" / "model.safetensors")
        model_dir = work
    return SentenceTransformer(str(model_dir), device="cpu", local_files_only=True)


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def peer_run(args, qrels, work):
    peer = open_peer(args.model, work)
    corpus = [d for d in lines(args.data / "corpus.jsonl")]
    queries = [q for q in lines(args.data / "queries.jsonl") if q["_id"] in qrels]
    texts = [(d.get("title", "") + " " + d["text"]).strip() for d in corpus]
    documents = peer.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=sys.stderr.isatty())
    prompt = "query" if "query" in (peer.prompts or {}) else None
    asked = peer.encode([q["text"] for q in queries], prompt_name=prompt, normalize_embeddings=True)
    run = {}
    for q, row in zip(queries, asked @ documents.T):
        best = np.argsort(-row, kind="stable")[:100]
        run[q["_id"]] = {corpus[i]["_id"]: float(row[i]) for i in best}
    return run


def winnow_start(args, work):
    command = [args.winnow, "eval", "--beir", args.data, "-o", args.index or work / "scifact.wnindex", "--model", args.model,
               "--no-rerank", "-n", "100", "--cutoffs", "10,100", "--format", "json", "--save-runs", work / "winnow"]
    return subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE)


def winnow_finish(process, work):
    out, _ = process.communicate()
    if process.returncode:
        sys.exit(f"winnow eval failed ({process.returncode})")
    run = {}
    with open(work / "winnow.first_stage.trec", encoding="utf-8") as f:
        for line in f:
            q, _, d, _, score, _ = line.split()
            run.setdefault(q, {})[d] = float(score)
    return run, {m["measure"]: m["first_stage"] for m in json.loads(out)["measures"]}


def mean(qrels, run, measure):
    values = pytrec_eval.RelevanceEvaluator(qrels, MEASURES).evaluate(run)
    return float(np.mean([v[measure] for v in values.values()]))


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--data", type=pathlib.Path, default=ROOT / "shared/data/scifact")
    p.add_argument("--model", type=pathlib.Path, default=pathlib.Path.home() / ".cache/winnow/models/bge-small-en-v1.5")
    p.add_argument("--winnow", type=pathlib.Path, default=ROOT / "build/winnow")
    p.add_argument("--index", type=pathlib.Path, help="keep winnow's index here, or find it")
    p.add_argument("--documents", type=int, help="a smaller corpus")
    p.add_argument("--csv", type=pathlib.Path)
    args = p.parse_args()
    if not (args.data / "corpus.jsonl").exists():
        sys.exit(f"SKIPPED: no {args.data}/corpus.jsonl; give a copy of SciFact in BEIR layout by --data")
    qrels = {}
    with open(args.data / "qrels/test.tsv", encoding="utf-8") as f:
        for row in csv.DictReader(f, delimiter="\t"):
            qrels.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        if args.documents:
            args.data = smaller(args.data, qrels, args.documents, work)
        process = winnow_start(args, work)  # both at once: quality is compared here, not speed
        theirs = peer_run(args, qrels, work)
        ours, own = winnow_finish(process, work)
    rows = [[m, f"{mean(qrels, ours, m):.4f}", f"{own[m]:.4f}", f"{mean(qrels, theirs, m):.4f}",
             f"{mean(qrels, ours, m) - mean(qrels, theirs, m):+.4f}"] for m in sorted(MEASURES)]
    header = ["measure", "winnow", "winnow_by_its_own_eval", "sentence_transformers", "difference"]
    same = np.mean([len(set(ours[q]) & set(theirs[q])) / 100 for q in qrels])
    for row in [header] + rows:
        print("\t".join(row))
    print(f"{len(qrels)} queries; of winnow's first 100 documents a share of {same:.4f} is among the peer's")
    if args.csv:
        with open(args.csv, "w", newline="", encoding="utf-8") as f:
            csv.writer(f).writerows([header] + rows)


if __name__ == "__main__":
    main()
