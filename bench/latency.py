#!/usr/bin/env python3
"""latency.py -- one text at a time, and few: bge-small beside ONNX Runtime: a part of `make bench`.

    tools/bench.sh latency [--rounds 41] [--precisions f32 bf16 int8] [--threads 2]

The first and the longest query of DL19, an abstract of SciFact, and three long texts (abstracts one behind the other, 512 tokens are read), each
embedded in one call, tokenising included: what an interactive search waits for, where there is nothing to batch. winnow runs
bench_embed, a process a precision and number of threads (one, and --threads: a sequence's rows are shared by idle workers);
ONNX Runtime runs the same model.onnx on --threads, three texts padded to the longest. Everyone in turn, in a rotating order.
Results: bench/results/latency.csv.
"""
import argparse
import json
import pathlib
import sys
import tempfile

import bench_common as common
import embed_peers


def cases(a):
    """name -> texts"""
    with open(a.queries / "queries.jsonl", encoding="utf-8") as f:
        queries = [json.loads(line)["text"] for line in f]
    abstracts = embed_peers.texts_of(a.data / "corpus.jsonl", 12)
    long = [" ".join(abstracts[i:i + 4]) for i in (0, 4, 8)]
    return {"a query": queries[:1], "a long query": [max(queries, key=len)], "an abstract": abstracts[:1], "a long text": long[:1], "three long texts": long}


def runs_of(a, program, texts, work):
    """The peer, then winnow by precision and threads; and the number of tokens."""
    peer = embed_peers.OnnxRuntime(a.model, texts, a.threads)
    runs = {("ONNX Runtime", "f32", a.threads): lambda _: common.timed(peer.run, len(texts))}
    corpus = work / "texts.jsonl"
    corpus.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), encoding="utf-8")
    for precision in a.precisions:
        for threads in sorted({1, a.threads}):
            ours = common.Worker([program, a.model, corpus, "--documents", len(texts), "--threads", threads, "--precision", precision])
            try:
                ours.ask("warm up")
            except common.Skip as e:
                print(f"winnow {precision}: left out ({e})", flush=True)
                break
            runs["winnow", precision, threads] = lambda _, ours=ours: ours.ask("again")
    return runs, peer.tokens


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", type=pathlib.Path, default=common.MODELS / "bge-small-en-v1.5")
    p.add_argument("--data", type=pathlib.Path, default=common.SHARED / "data" / "scifact")
    p.add_argument("--queries", type=pathlib.Path, default=common.SHARED / "data" / "msmarco_dl19")
    p.add_argument("--rounds", type=int, default=41)
    p.add_argument("--threads", type=int, default=common.THREADS)
    p.add_argument("--precisions", nargs="+", choices=common.PRECISIONS, default=list(common.PRECISIONS))
    return p.parse_args()


def main():
    a, rows = arguments(), []
    for path, what in ((a.data, "collection"), (a.queries, "collection"), (a.model, "model")):
        common.present(path, what)
    program = common.program("bench_embed")
    for name, texts in cases(a).items():
        with tempfile.TemporaryDirectory() as work:
            try:
                runs, tokens = runs_of(a, program, texts, pathlib.Path(work))
            except ImportError as e:
                raise common.Skip(f"{e}: peers are not installed (tools/venv.sh bench)") from e
            times = {k: common.medians(t) for k, t in common.take_turns(runs, a.rounds).items()}
        slow = times["ONNX Runtime", "f32", a.threads]["wall_ms"]
        for (who, precision, threads), m in times.items():
            ratio = "" if who != "winnow" else round(m["wall_ms"] / slow, 3)
            rows.append({"rounds": a.rounds, "what": name, "tokens": tokens, "peer": who, "precision": precision, "threads": threads, **m, "ratio": ratio})
            print("{what:17} {tokens:5d} tokens  {peer:13} {precision:5} {threads} threads  wall {wall_ms:8.2f} ms  {ratio}".format(**rows[-1]), flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(common.part("latency", main))
