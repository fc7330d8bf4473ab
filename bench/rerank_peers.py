#!/usr/bin/env python3
"""rerank_peers.py -- 50 BM25 candidates of TREC DL19 reranked by winnow and by its CPU peers: a part of `make bench`.

    tools/bench.sh rerank [--rounds 5] [--queries 4] [--precisions f32 bf16 int8] [--without PEER ...] [--threads 2]

One process tree: winnow's bench_rerank --serve, a process a precision, beside ONNX Runtime (f32; int8 by its dynamic
quantisation, a scale a column), OpenVINO (f32, bf16; int8 by NNCF), sentence-transformers (f32, bf16; also as its
users call it: f32, batches of 32) and FlashRank, all over the same model, given the same texts, held to the same number of
threads; tokenising is inside every time. Each peer first tries its settings on one query; the one that takes
it the least time runs on: wall time, or processor time where the load says that the machine is busy. Then rounds: for each query, everyone in turn, in a rotating order.

Left out by us: llama.cpp. Its converter drops the pooler of BERT classifiers and it gives all tokens
of a pair the first type, so it computes another model's scores (docs/PERFORMANCE.md).

A peer that is not installed, or a precision that this processor or winnow lacks, is left out by name.
Results: bench/results/rerank.csv; ratios are winnow's time in the same precision over the peer's.
"""
import argparse
import json
import os
import pathlib
import shutil
import sys
import warnings

import bench_common as common
import bench_targets as targets

os.environ.setdefault("TQDM_DISABLE", "1")
warnings.filterwarnings("ignore", category=UserWarning)
warnings.filterwarnings("ignore", category=DeprecationWarning)


def export(model_dir, onnx):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    class ByName(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = AutoModelForSequenceClassification.from_pretrained(model_dir, dtype=torch.float32, attn_implementation="eager").eval()

        def forward(self, input_ids, attention_mask, token_type_ids):
            return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).logits
    names = ["input_ids", "attention_mask", "token_type_ids"]
    # Of unequal lengths: traced without padding the graph would lose its mask.
    x = AutoTokenizer.from_pretrained(model_dir)(["a b c", "a"], ["d e f", "d"], padding=True, return_tensors="pt")
    torch.onnx.export(ByName(), tuple(x[k] for k in names), str(onnx), input_names=names, output_names=["logits"],
                      dynamic_axes={k: {0: "b", 1: "s"} for k in names}, opset_version=17, dynamo=False)


class Batches:
    """Pairs to padded batches, longest first, as a careful user of a graph makes them."""

    def __init__(self, model_dir):
        from tokenizers import Tokenizer
        self.tok = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
        self.limit = json.loads((model_dir / "tokenizer_config.json").read_text())["model_max_length"]
        self.tok.enable_truncation(self.limit)
        self.tok.no_padding()

    def tokens(self, pairs):
        return sum(len(e.ids) for e in self.tok.encode_batch(pairs))

    def __call__(self, pairs, size, names):
        import numpy as np
        encoded = self.tok.encode_batch(pairs)
        order = sorted(range(len(encoded)), key=lambda i: -len(encoded[i].ids))
        for i in range(0, len(order), size):
            index = order[i:i + size]
            shape = (len(index), max(len(encoded[j].ids) for j in index))
            x = {k: np.zeros(shape, np.int64) for k in ("input_ids", "attention_mask", "token_type_ids")}
            for r, e in enumerate(encoded[j] for j in index):
                n = len(e.ids)
                x["input_ids"][r, :n], x["attention_mask"][r, :n], x["token_type_ids"][r, :n] = e.ids, 1, e.type_ids
            yield index, {k: x[k] for k in names}


class Peers:
    """Each method gives a peer's settings: name -> function of pairs that returns their logits (or None)."""

    def __init__(self, a):
        self.model, self.threads, self.work = a.model, a.threads, a.work
        self.batches = Batches(a.model)
        self.onnx = a.work / f"{a.model.name}.onnx"

    def graph(self):
        if not self.onnx.exists():
            export(self.model, self.onnx)
        return self.onnx

    def onnxruntime(self, path):
        import numpy as np
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()]

        def run(pairs, size):
            out = np.zeros(len(pairs), np.float32)
            for index, x in self.batches(pairs, size, names):
                out[index] = session.run(None, x)[0][:, 0]
            return out
        return {f"batch {size}": (lambda p, size=size: run(p, size)) for size in (1, 8, 32)}

    def onnxruntime_f32(self):
        return self.onnxruntime(self.graph())

    def onnxruntime_int8(self):
        import onnxruntime.quantization as q
        small = self.onnx.with_suffix(".int8.onnx")
        if not small.exists():
            q.quantize_dynamic(str(self.graph()), str(small), weight_type=q.QuantType.QInt8, per_channel=True)
        return self.onnxruntime(small)

    def openvino(self, path, precision):
        import numpy as np
        import openvino as ov
        core, out = ov.Core(), {}
        model = core.read_model(str(path))
        for hint in ("THROUGHPUT", "LATENCY"):
            compiled = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": precision,
                                                         "INFERENCE_NUM_THREADS": self.threads})
            names = [i.get_any_name() for i in compiled.inputs]
            queue = ov.AsyncInferQueue(compiled, compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))

            def run(pairs, size, queue=queue, names=names):
                logits = np.zeros(len(pairs), np.float32)
                queue.set_callback(lambda r, index: logits.__setitem__(index, r.get_output_tensor().data[:, 0]))
                for index, x in self.batches(pairs, size, names):
                    queue.start_async(x, index)
                queue.wait_all()
                return logits
            for size in (1, 8):
                out[f"{hint.lower()}, batch {size}"] = lambda p, run=run, size=size: run(p, size)
        return out

    def openvino_f32(self):
        return self.openvino(self.graph(), "f32")

    def openvino_bf16(self):
        return self.openvino(self.graph(), "bf16")

    def openvino_int8(self):
        """Post-training quantisation by NNCF's recipe for transformers, calibrated on the pairs of a query."""
        import nncf
        import openvino as ov
        small = self.onnx.with_suffix(".nncf.xml")
        if not small.exists():
            names = ["input_ids", "attention_mask", "token_type_ids"]
            samples = [x for _, x in self.batches(self.calibration, 1, names)]
            model = nncf.quantize(ov.Core().read_model(str(self.graph())), nncf.Dataset(samples), model_type=nncf.ModelType.TRANSFORMER,
                                  subset_size=len(samples))
            ov.save_model(model, str(small))
        return self.openvino(small, "f32")

    def sentence_transformers(self, kind, sizes):
        import torch
        from sentence_transformers import CrossEncoder
        torch.set_num_threads(self.threads)
        m = CrossEncoder(str(self.model), device="cpu", max_length=self.batches.limit, model_kwargs={"dtype": kind})
        raw = torch.nn.Identity()
        return {f"batch {s}": (lambda p, s=s: m.predict(p, batch_size=s, activation_fn=raw, show_progress_bar=False)) for s in sizes}

    def sentence_transformers_default_f32(self):
        return self.sentence_transformers("float32", (32,))

    def sentence_transformers_f32(self):
        return self.sentence_transformers("float32", (1, 8, 32))

    def sentence_transformers_bf16(self):
        return self.sentence_transformers("bfloat16", (1, 8, 32))

    def flashrank_f32(self):
        """FlashRank knows models by name; ours stands in its cache under the name of one. Its only setting: all at once."""
        import flashrank
        name, file = "ms-marco-MiniLM-L-12-v2", "flashrank-MiniLM-L-12-v2_Q.onnx"
        folder = self.work / "flashrank" / name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.graph(), folder / file)
        for part in ("config.json", "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json"):
            shutil.copy(self.model / part, folder / part)
        config = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps({**config, "model_max_length": self.batches.limit}))
        ranker = flashrank.Ranker(name, cache_dir=str(self.work / "flashrank"), max_length=self.batches.limit, log_level="ERROR")

        def run(pairs):
            passages = [{"id": i, "text": d} for i, (_, d) in enumerate(pairs)]
            ranker.rerank(flashrank.RerankRequest(query=pairs[0][0], passages=passages))
        return {"all at once": run}


PEERS = [("OpenVINO", "f32", Peers.openvino_f32), ("OpenVINO", "bf16", Peers.openvino_bf16), ("OpenVINO, NNCF", "int8", Peers.openvino_int8),
         ("ONNX Runtime", "f32", Peers.onnxruntime_f32), ("ONNX Runtime, dynamic", "int8", Peers.onnxruntime_int8),
         ("sentence-transformers", "f32", Peers.sentence_transformers_f32),
         ("sentence-transformers", "bf16", Peers.sentence_transformers_bf16),
         (targets.DEFAULT_USE, "f32", Peers.sentence_transformers_default_f32),
         ("FlashRank", "f32", Peers.flashrank_f32)]


def agrees(logits, reference):
    """Peers must compute the same model: to 1e-2 in f32; narrower precisions are not held to it here."""
    return logits is None or max(abs(float(a) - b) for a, b in zip(logits, reference)) < 1e-2


def settle(peers, a, pairs):
    """Each peer at the setting that takes it the least time on one query."""
    runs, setting, reference = {}, {}, None
    clock, kept = 1 if common.busy() else 0, a.work / "settings.json"
    before = json.loads(kept.read_text()) if a.reuse and kept.exists() else {}
    for name, precision, maker in PEERS:
        if precision not in a.precisions or name.split(",")[0] in a.without:
            continue
        try:
            settings = maker(peers)
        except ImportError as e:
            print(f"{name} {precision}: left out ({e})", flush=True)
            continue
        tried, known = {}, before.get(f"{name} {precision}")
        for s, f in settings.items():
            if known in settings and s != known:
                continue
            logits = f(pairs)
            if precision == "f32" and logits is not None:
                reference = [float(x) for x in logits] if reference is None else reference
                if not agrees(logits, reference):
                    sys.exit(f"{name}, {s}: its logits are another model's")
            tried[s] = (0 if s == known else min(common.timed(f, pairs)[clock] for _ in range(a.tries)), f)
        best = min(tried, key=lambda s: tried[s][0])
        setting[name, precision], runs[name, precision] = best, tried[best][1]
        print(f"{name} {precision}: best at {best}", flush=True)
    kept.write_text(json.dumps({f"{k[0]} {k[1]}": v for k, v in setting.items()}))
    return runs, setting


def winnow(a, precision, work):
    ours = common.Worker([common.program("bench_rerank"), a.model, a.data, "--queries", a.queries, "--candidates", len(work[0]),
                          "--threads", a.threads, "--precision", precision, "--serve"])
    ours.ask(0)
    return lambda i: ours.ask(i)


def row(key, t, ours, setting, tokens, a):
    m = common.medians(t)
    out = {"threads": a.threads, "rounds": a.rounds, "queries": a.queries, "peer": key[0], "precision": key[1],
           "setting": setting.get(key, ""), **m, "tokens_per_s": round(tokens / m["wall_ms"] * 1e3), "ratio": "", "cpu_ratio": ""}
    if ours and key[0] != "winnow":
        mine = common.medians(ours)
        out |= {"ratio": round(mine["wall_ms"] / m["wall_ms"], 3), "cpu_ratio": round(mine["cpu_ms"] / m["cpu_ms"], 3)}
    return out


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", type=pathlib.Path, default=common.RERANKER)
    p.add_argument("--data", type=pathlib.Path, default=common.SHARED / "data" / "msmarco_dl19")
    p.add_argument("--work", type=pathlib.Path, default=common.ROOT / "build" / "peers", help="where exported graphs are kept")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--queries", type=int, default=4)
    p.add_argument("--tries", type=int, default=2, help="runs of a setting before one is chosen; the first, unmeasured one comes on top")
    p.add_argument("--threads", type=int, default=common.THREADS)
    p.add_argument("--reuse", action="store_true", help="the settings that an earlier run found best, untried")
    p.add_argument("--precisions", nargs="+", choices=common.PRECISIONS, default=list(common.PRECISIONS))
    p.add_argument("--without", nargs="*", default=[], help="peers to leave out")
    return p.parse_args()


def main():
    a = arguments()
    common.present(a.data, "collection")
    common.program("bench_rerank")
    a.work.mkdir(parents=True, exist_ok=True)
    work = common.candidates(a.data, a.queries + 1)
    try:
        peers = Peers(a)
    except ImportError as e:
        raise common.Skip(f"{e}: peers are not installed (tools/venv.sh bench)") from e
    peers.calibration = work.pop()
    runs, setting = settle(peers, a, work[0])
    runs = {k: (lambda i, f=f: common.timed(f, work[i])) for k, f in runs.items()}
    for precision in a.precisions:
        try:
            runs["winnow", precision] = winnow(a, precision, work)
        except common.Skip as e:
            print(f"winnow {precision}: left out ({e})", flush=True)
    times = common.take_turns(runs, a.rounds, range(len(work)))
    tokens = sum(map(peers.batches.tokens, work)) / len(work)
    rows = [row(k, t, times.get(("winnow", k[1])), setting, tokens, a) for k, t in times.items()]
    rows.sort(key=lambda r: (common.PRECISIONS.index(r["precision"]), r["wall_ms"]))
    print(f"{len(work)} queries x {len(work[0])} candidates, {tokens:.0f} tokens a query, {a.threads} threads")
    for r in rows:
        print("{peer:36} {precision:5} {setting:22} wall {wall_ms:8.1f} ms  cpu {cpu_ms:8.1f} ms  winnow/this {ratio} (cpu {cpu_ratio})".format(**r))
    targets.show(targets.rerank(rows))
    return rows


if __name__ == "__main__":
    sys.exit(common.part("rerank", main))
