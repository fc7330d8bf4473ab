#!/usr/bin/env python3
"""embed_peers.py -- bge-small over documents, winnow beside ONNX Runtime: a part of `make bench`.

    tools/bench.sh embed [--rounds 5] [--documents 48] [--recall-documents 1000] [--precisions f32 bf16 int8] [--threads 2]

The first documents of SciFact (title and text, 512 tokens at most), tokenising included. winnow runs bench_embed, a
process a precision; ONNX Runtime runs the same model.onnx in f32, documents sorted by length, in batches of the size
that was fastest on the same documents before the rounds. Everyone in turn, in a rotating order. Tokens a second
count what the model reads, special tokens included, and no padding.

A lower precision changes the embeddings: recall@100 is the share of a query's 100 nearest documents by f32 that are
also among its 100 nearest by the other precision, over the judged queries and the first --recall-documents of
SciFact. Targets: twice ONNX Runtime's tokens a second in f32; recall at least 0.99.
Results: bench/results/embed.csv.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import bench_common as common
import bench_targets as targets

DEPTH = 100


def texts_of(path, most):
    with open(path, encoding="utf-8") as f:
        rows = [json.loads(line) for _, line in zip(range(most), f)]
    return [f"{r['title']} {r['text']}" if r.get("title") else r["text"] for r in rows]


class OnnxRuntime:
    def __init__(self, model_dir, texts, threads):
        import onnxruntime as ort
        from tokenizers import Tokenizer
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        path = next(p for p in (model_dir / "model.onnx", model_dir / "onnx" / "model.onnx") if p.exists())
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.names, self.texts = [i.name for i in self.session.get_inputs()], texts
        self.tok = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
        self.tok.enable_truncation(512)
        self.tok.no_padding()
        self.tokens = sum(len(e.ids) for e in self.tok.encode_batch(texts))

    def run(self, size):
        import numpy as np
        encoded = sorted(self.tok.encode_batch(self.texts), key=lambda e: -len(e.ids))
        for i in range(0, len(encoded), size):
            batch = encoded[i:i + size]
            shape = (len(batch), len(batch[0].ids))
            x = {k: np.zeros(shape, np.int64) for k in ("input_ids", "attention_mask", "token_type_ids")}
            for r, e in enumerate(batch):
                x["input_ids"][r, :len(e.ids)], x["attention_mask"][r, :len(e.ids)] = e.ids, 1
            first = self.session.run(None, {k: x[k] for k in self.names})[0][:, 0]
            first / np.linalg.norm(first, axis=1, keepdims=True)

    def best(self):
        self.run(8)
        times = {size: common.timed(self.run, size)[0] for size in (1, 4, 8, 16)}
        return min(times, key=times.get)


def embeddings(model, precision, rows, role, work):
    """[rows, width], by the command."""
    import numpy as np
    out = pathlib.Path(work) / f"{role}-{precision}.npy"
    data = "".join(json.dumps({"text": t}) + "\n" for t in rows).encode()
    subprocess.run([common.ROOT / "build" / "winnow", "embed", "--model", model, "--role", role, "--precision", precision, "-o", out],
                   input=data, check=True)
    return np.load(out)


def recall(a, precisions):
    """precision -> recall@100 of its ranking against f32's."""
    import numpy as np
    documents = texts_of(a.data / "corpus.jsonl", a.recall_documents)
    judged = {line.split("\t")[0] for line in open(a.data / "qrels" / "test.tsv")}
    with open(a.data / "queries.jsonl", encoding="utf-8") as f:
        queries = [r["text"] for r in map(json.loads, f) if r["_id"] in judged]
    out, base = {}, None
    with tempfile.TemporaryDirectory() as work:
        for precision in ("f32", *(p for p in precisions if p != "f32")):
            scores = embeddings(a.model, precision, queries, "query", work) @ embeddings(a.model, precision, documents, "document", work).T
            nearest = [set(row) for row in np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]]
            base = base or nearest
            out[precision] = sum(len(x & y) for x, y in zip(nearest, base)) / sum(map(len, base))
    return out


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", type=pathlib.Path, default=common.MODELS / "bge-small-en-v1.5")
    p.add_argument("--data", type=pathlib.Path, default=common.SHARED / "data" / "scifact")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--documents", type=int, default=48)
    p.add_argument("--recall-documents", type=int, default=1000, help="0: no recall")
    p.add_argument("--threads", type=int, default=common.THREADS)
    p.add_argument("--precisions", nargs="+", choices=common.PRECISIONS, default=list(common.PRECISIONS))
    return p.parse_args()


def main():
    a = arguments()
    common.present(a.data, "collection")
    common.present(a.model, "model")
    program = common.program("bench_embed")
    try:
        peer = OnnxRuntime(a.model, texts_of(a.data / "corpus.jsonl", a.documents), a.threads)
    except ImportError as e:
        raise common.Skip(f"{e}: peers are not installed (tools/venv.sh bench)") from e
    size = peer.best()
    runs = {("ONNX Runtime", "f32"): lambda _: common.timed(peer.run, size)}
    for precision in a.precisions:
        ours = common.Worker([program, a.model, a.data / "corpus.jsonl", "--documents", a.documents, "--threads", a.threads,
                              "--precision", precision])
        try:
            ours.ask("warm up")
            runs["winnow", precision] = lambda _, ours=ours: ours.ask("again")
        except common.Skip as e:
            print(f"winnow {precision}: left out ({e})", flush=True)
    times = {k: common.medians(t) for k, t in common.take_turns(runs, a.rounds).items()}
    found = recall(a, [p for _, p in times]) if a.recall_documents else {}
    slow, rows = times["ONNX Runtime", "f32"], []
    for (name, precision), m in times.items():
        ours = name == "winnow"
        rows.append({"threads": a.threads, "rounds": a.rounds, "documents": a.documents, "tokens": peer.tokens, "peer": name,
                     "precision": precision, "setting": "" if ours else f"batch {size}", **m, "tokens_per_s": round(peer.tokens / m["wall_ms"] * 1e3),
                     "speedup": round(slow["wall_ms"] / m["wall_ms"], 3), "cpu_speedup": round(slow["cpu_ms"] / m["cpu_ms"], 3),
                     "recall_documents": a.recall_documents if ours else "", "recall_100": round(found[precision], 4) if ours and found else ""})
        print("{peer:14} {precision:5} {tokens_per_s:7d} tokens/s  wall {wall_ms:.0f} ms  cpu {cpu_ms:.0f} ms  recall {recall_100}".format(**rows[-1]))
    targets.show(targets.embed(rows))
    return rows


if __name__ == "__main__":
    sys.exit(common.part("embed", main))
