#!/usr/bin/env python3
"""Rerank 50 BM25 candidates with winnow and with its CPU peers, interleaved, and print the ratios.

    pip install torch sentence-transformers onnx onnxruntime openvino tokenizers
    bench/rerank_peers.py --data shared/data/msmarco_dl19 [--model models/reranker-minilm-l6-v0]
                          [--build build] [--work DIR] [--rounds 5] [--queries 8]
                          [--precision f32|bf16] [--csv FILE]

One process tree: winnow's bench_rerank --serve beside ONNX Runtime, OpenVINO and sentence-transformers, all in
the same precision (ONNX Runtime has no bf16 on a CPU and is left out there), all given the same texts; tokenising is inside every time. Each peer first tries its settings on one query; the
best runs on. Then rounds: for each query, everyone in turn, in a rotating order. So whatever else the
machine does hits all alike: believe the ratios, and the milliseconds only on a quiet machine. `cpu` is
processor time, which waiting for a busy processor does not lengthen.
"""
import argparse
import collections
import csv
import json
import os
import pathlib
import subprocess
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
CANDIDATES = 50


def load(folder, n):
    text = {}
    for line in open(folder / "corpus.jsonl", encoding="utf-8"):
        r = json.loads(line)
        text[r["_id"]] = r["text"]
    run = collections.defaultdict(list)
    for line in open(folder / "runs" / "BM25.trec"):
        q, _, d, rank, *_ = line.split()
        run[q].append((int(rank), d))
    out = []
    for line in open(folder / "queries.jsonl", encoding="utf-8"):
        r = json.loads(line)
        out.append([(r["text"], text[d]) for _, d in sorted(run[r["_id"]])[:CANDIDATES]])
    return out[:n]


def export(model_dir, onnx):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    model = AutoModelForSequenceClassification.from_pretrained(model_dir, dtype=torch.float32).eval()
    x = AutoTokenizer.from_pretrained(model_dir)(["a b c"], ["d e f"], return_tensors="pt")
    names = list(x)
    torch.onnx.export(model, tuple(x[k] for k in names), str(onnx), input_names=names, output_names=["logits"],
                      dynamic_axes={k: {0: "b", 1: "s"} for k in names}, opset_version=17, dynamo=False)


class Batches:
    def __init__(self, model_dir):
        from tokenizers import Tokenizer
        self.tok = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
        self.tok.enable_truncation(512)
        self.tok.no_padding()

    def __call__(self, pairs, size, names):
        e = self.tok.encode_batch(pairs)
        order = np.argsort([-len(x.ids) for x in e], kind="stable")
        for i in range(0, len(order), size):
            idx = order[i:i + size]
            width = max(len(e[j].ids) for j in idx)
            x = {k: np.zeros((len(idx), width), np.int64) for k in ("input_ids", "attention_mask", "token_type_ids")}
            for r, j in enumerate(idx):
                n = len(e[j].ids)
                x["input_ids"][r, :n], x["attention_mask"][r, :n], x["token_type_ids"][r, :n] = e[j].ids, 1, e[j].type_ids
            yield idx, {k: x[k] for k in names}


def onnxruntime_settings(onnx, batches, threads):
    import onnxruntime as ort
    o = ort.SessionOptions()
    o.intra_op_num_threads = threads
    s = ort.InferenceSession(str(onnx), o, providers=["CPUExecutionProvider"])
    names = [i.name for i in s.get_inputs()]

    def run(pairs, size):
        out = np.zeros(len(pairs), np.float32)
        for idx, x in batches(pairs, size, names):
            out[idx] = s.run(None, x)[0][:, 0]
        return out
    return {f"batch {size}": (lambda p, size=size: run(p, size)) for size in (1, 8, 32)}


def openvino_settings(onnx, batches, threads, precision):
    import openvino as ov
    core, out = ov.Core(), {}
    model = core.read_model(str(onnx))
    for hint, sizes in (("THROUGHPUT", (1, 8)), ("LATENCY", (1, 8))):
        c = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": precision,
                                              "INFERENCE_NUM_THREADS": threads})
        names = [i.get_any_name() for i in c.inputs]
        queue = ov.AsyncInferQueue(c, c.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))

        def run(pairs, size, queue=queue, names=names):
            logits = np.zeros(len(pairs), np.float32)
            queue.set_callback(lambda r, idx: logits.__setitem__(idx, r.get_output_tensor().data[:, 0]))
            for idx, x in batches(pairs, size, names):
                queue.start_async(x, idx)
            queue.wait_all()
            return logits
        for size in sizes:
            out[f"{hint.lower()}, batch {size}"] = lambda p, run=run, size=size: run(p, size)
    return out


def sentence_transformers_settings(model_dir, threads, precision):
    import torch
    from sentence_transformers import CrossEncoder
    torch.set_num_threads(threads)
    m = CrossEncoder(str(model_dir), device="cpu", max_length=512, model_kwargs={"dtype": {"f32": "float32", "bf16": "bfloat16"}[precision]})
    return {"batch 32 (default)": lambda p: m.predict(p, batch_size=32, show_progress_bar=False)}


class Winnow:
    def __init__(self, build, model_dir, data, queries, threads, precision):
        self.p = subprocess.Popen([str(build / "bench" / "bench_rerank"), str(model_dir), str(data), "--queries",
                                   str(queries), "--candidates", str(CANDIDATES), "--threads", str(threads), "--precision", precision, "--serve"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, q):
        self.p.stdin.write(f"{q}\n")
        self.p.stdin.flush()
        wall, cpu, _ = self.p.stdout.readline().split()
        return float(wall), float(cpu)


def timed(f, pairs):
    t, c = time.perf_counter(), time.process_time()
    f(pairs)
    return (time.perf_counter() - t) * 1e3, (time.process_time() - c) * 1e3


def machine():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "?"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", type=pathlib.Path, default=ROOT / "models" / "reranker-minilm-l6-v0")
    p.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared" / "data" / "msmarco_dl19")
    p.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    p.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "peers")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--queries", type=int, default=8)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    p.add_argument("--without", nargs="*", default=[], help="peers to leave out")
    p.add_argument("--csv", type=pathlib.Path)
    a = p.parse_args()
    if not a.data.is_dir():
        return print(f"SKIPPED: no collection at {a.data}")
    a.work.mkdir(parents=True, exist_ok=True)
    onnx = a.work / f"{a.model.name}.onnx"
    if not onnx.exists():
        export(a.model, onnx)
    work, batches = load(a.data, a.queries), Batches(a.model)
    makers = {"onnxruntime": lambda: onnxruntime_settings(onnx, batches, a.threads),
              "openvino": lambda: openvino_settings(onnx, batches, a.threads, a.precision),
              "sentence-transformers": lambda: sentence_transformers_settings(a.model, a.threads, a.precision)}
    if a.precision != "f32":
        del makers["onnxruntime"]
    runs, setting = {}, {"winnow": "-"}
    for name in makers:
        if name in a.without:
            continue
        tried = {}
        for s, f in makers[name]().items():
            timed(f, work[0])
            tried[s] = (min(timed(f, work[0])[1] for _ in range(2)), f)  # processor time: steadier
        setting[name] = min(tried, key=lambda s: tried[s][0])
        f = tried[setting[name]][1]
        runs[name] = lambda q, f=f: timed(f, work[q])
        print(f"{name}: best setting {setting[name]}", flush=True)
    winnow = Winnow(a.build, a.model, a.data, a.queries, a.threads, a.precision)
    runs["winnow"] = winnow.run
    winnow.run(0)
    times, order = {n: [] for n in runs}, list(runs)
    for r in range(a.rounds):
        for q in range(len(work)):
            order = order[1:] + order[:1]
            for name in order:
                times[name].append(runs[name](q))
                time.sleep(0.02)  # let the last one's spinning threads go to sleep
    report(a, work, batches, times, setting)


def report(a, work, batches, times, setting):
    tokens = np.mean([sum(len(x.ids) for x in batches.tok.encode_batch(w)) for w in work])
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True,
                            text=True).stdout.strip()
    rows, ours = [], np.array(times["winnow"])
    for name, t in sorted(times.items(), key=lambda x: np.median([w for w, _ in x[1]])):
        t = np.array(t)
        rows.append({"commit": commit, "cpu": machine(), "threads": a.threads, "precision": a.precision, "what": name, "setting": setting[name],
                     "median_ms": round(float(np.median(t[:, 0])), 1), "least_ms": round(float(t[:, 0].min()), 1),
                     "cpu_ms": round(float(np.median(t[:, 1])), 1),
                     "tokens_per_s": round(tokens / np.median(t[:, 0]) * 1e3),
                     "winnow_ratio": round(float(np.median(ours[:, 0] / t[:, 0])), 3),
                     "winnow_cpu_ratio": round(float(np.median(ours[:, 1] / t[:, 1])), 3)})
    print(f"{len(work)} queries x {CANDIDATES} candidates, {tokens:.0f} tokens a query, {a.threads} threads, "
          f"{a.rounds} rounds, {a.precision}")
    for r in rows:
        print(f"{r['what']:22} {r['setting']:22} median {r['median_ms']:8.1f} ms  least {r['least_ms']:8.1f}  "
              f"cpu {r['cpu_ms']:8.1f}  {r['tokens_per_s']:6d} tokens/s  winnow/this {r['winnow_ratio']:.2f} "
              f"(cpu {r['winnow_cpu_ratio']:.2f})")
    peers = [r for r in rows if r["what"] != "winnow"]
    if peers:
        best = min(peers, key=lambda r: r["median_ms"])
        print(f"ratio to the best {a.precision} peer ({best['what']}): {best['winnow_ratio']:.2f}, by processor time "
              f"{best['winnow_cpu_ratio']:.2f}")
    if a.csv:
        with open(a.csv, "w", newline="") as f:
            out = csv.DictWriter(f, rows[0])
            out.writeheader()
            out.writerows(rows)


if __name__ == "__main__":
    main()
