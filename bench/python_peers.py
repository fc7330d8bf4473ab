#!/usr/bin/env python3
"""python_peers.py -- the Python package beside sentence-transformers, call by call: a part of `make bench`.

    tools/bench.sh python [--rounds 5] [--pairs 200] [--texts 200]

Both libraries' classes of the same name open the same directories and get the same calls, at their defaults: the largest
difference of what they return, and the time of both, in turn, in one process, in f32. Cross-encoders: the committed reranker over BM25
candidates of TREC DL19, and a small random XLM-R with a sigmoid. Bi-encoder: all-MiniLM-L6-v2 over abstracts of SciFact, with
what encode can do to embeddings. torch is held to the same number of threads.
Results: bench/results/python.csv.
"""
import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import warnings

import bench_common as common
import embed_peers

os.environ.setdefault("TQDM_DISABLE", "1")
warnings.filterwarnings("ignore")


def calls_of(a, work):
    """name -> (ours, theirs, values of what either returns)."""
    import numpy as np
    import sentence_transformers as theirs
    import torch
    import winnow as ours
    torch.set_num_threads(common.THREADS)

    pairs = [pair for query in common.candidates(common.present(a.data / "msmarco_dl19", "collection"), 1 + a.pairs // 50) for pair in query][:a.pairs]
    query, documents = pairs[0][0], [text for _, text in pairs[:50]]
    texts = embed_peers.texts_of(common.present(a.data / "scifact", "collection") / "corpus.jsonl", a.texts)
    small = work / "small-xlmr-reranker"
    golden = common.ROOT / "tests" / "golden"
    shutil.copytree(golden / "models" / small.name, small)
    shutil.copy(golden / "tokenizers" / "small-xlmr" / "tokenizer.json", small)
    f32 = {"model_kwargs": {"dtype": torch.float32}}  # the committed weights are halves, and would be computed so
    cross = [ours.CrossEncoder(str(common.RERANKER)), theirs.CrossEncoder(str(common.RERANKER), **f32)]
    sigmoid = [ours.CrossEncoder(str(small)), theirs.CrossEncoder(str(small), **f32)]
    bi = [library.SentenceTransformer(str(common.present(a.model, "model"))) for library in (ours, theirs)]

    def both(models, call, values=np.asarray):
        return [lambda model=model: call(model) for model in models] + [values]

    return {
        f"predict, {len(pairs)} pairs of MiniLM": both(cross, lambda m: m.predict(pairs)),
        "rank, scores of 50 documents": both(cross, lambda m: m.rank(query, documents), lambda rows: np.array([r["score"] for r in rows])),
        "rank, their order": both(cross, lambda m: m.rank(query, documents), lambda rows: np.array([r["corpus_id"] for r in rows])),
        "predict, 50 pairs of a small XLM-R with a sigmoid": both(sigmoid, lambda m: m.predict(pairs[:50])),
        f"encode, {len(texts)} abstracts": both(bi, lambda m: m.encode(texts)),
        "encode_query, one query": both(bi, lambda m: m.encode_query(query)),
        "encode_document, truncate_dim and normalize_embeddings, 20 abstracts": both(bi, lambda m: m.encode_document(texts[:20], truncate_dim=64, normalize_embeddings=True)),
        "encode, with a prompt, 20 abstracts": both(bi, lambda m: m.encode(texts[:20], prompt="passage: ")),
        "encode, precision=\"ubinary\": bytes that differ": both(bi, lambda m: m.encode(texts, precision="ubinary"), lambda v: v.astype(int)),
        "encode, precision=\"int8\": levels of 256": both(bi, lambda m: m.encode(texts, precision="int8"), lambda v: v.astype(int)),
        "similarity, of 20 abstracts and 20 others, with their encoding": both(bi, lambda m: m.similarity(m.encode(texts[:20]), m.encode(texts[20:40]))),
    }


def difference(name, ours, theirs):
    import numpy as np
    if ours.shape != theirs.shape:
        raise SystemExit(f"{name}: shapes {ours.shape} and {theirs.shape}")
    if "differ" in name:
        return int(np.count_nonzero(ours != theirs))
    return float(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max())


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", type=pathlib.Path, default=common.MODELS / "all-MiniLM-L6-v2")
    p.add_argument("--data", type=pathlib.Path, default=common.SHARED / "data")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--pairs", type=int, default=200)
    p.add_argument("--texts", type=int, default=200)
    return p.parse_args()


def main():
    a, rows = arguments(), []
    package = common.ROOT / "build" / "src" / "python"
    if not list(package.glob("winnow/_winnow*.so")):
        raise common.Skip(f"{package.relative_to(common.ROOT)} has no package (install python3-dev, then `make bench`)")
    sys.path.insert(0, str(package))
    with tempfile.TemporaryDirectory() as work:
        try:
            calls = calls_of(a, pathlib.Path(work))
        except ImportError as e:
            raise common.Skip(f"{e}: peers are not installed (tools/venv.sh bench)") from e
        for name, (ours, theirs, values) in calls.items():
            apart = difference(name, values(ours()), values(theirs()))
            times = common.take_turns({"winnow": lambda _: common.timed(ours), "theirs": lambda _: common.timed(theirs)}, a.rounds)
            mine, other = common.medians(times["winnow"]), common.medians(times["theirs"])
            rows.append({"rounds": a.rounds, "call": name, "difference": f"{apart:.2g}", "wall_ms": mine["wall_ms"], "theirs_ms": other["wall_ms"],
                         "faster": round(other["wall_ms"] / mine["wall_ms"], 2), "cpu_faster": round(other["cpu_ms"] / mine["cpu_ms"], 2)})
            print("{call:56} apart {difference:>8}  {wall_ms:9.2f} ms, theirs {theirs_ms:9.2f}: {faster} times as fast".format(**rows[-1]), flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(common.part("python", main))
