#!/usr/bin/env python3
"""Reference outputs of the forward pass: transformers in f32 on the CPU, one sequence at a time (no padding).

  python tests/golden/make_encoder_goldens.py own|dl19|xquad|xlmr ...

  own    ids and outputs for pairs and passages of examples/docs: always tested, with the committed models
         (models/reranker-minilm-l6-v0, tests/golden/models/small-*)
  dl19   logits of reranker-minilm-l6-v0 on the BM25 top 100 of the first 5 queries of msmarco_dl19
  xquad  all-MiniLM-L6-v2 (mean) and bge-small-en-v1.5 (CLS) on every 5th XQuAD passage in five languages,
         reranker-minilm-l6-v0 on every 10th question with its passage
  xlmr   small-xlmr and small-xlmr-reranker (random weights) on the same passages and pairs

Of the labelled collections only numbers are kept (little-endian f32), no text and no ids: the test
tokenises them itself, where the collections are. They are read from $WN_SHARED or ../shared, the models that
are not in the repository from the model cache. bge-small-en-v1.5 is there as ONNX: ONNX Runtime computes it.
"""
import hashlib
import importlib.metadata
import json
import os
import pathlib
import sys

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModel, AutoModelForSequenceClassification

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OUT = HERE / "encoder"
SHARED = pathlib.Path(os.environ.get("WN_SHARED", ROOT.parent / "shared"))
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "winnow" / "models"
RERANKER = ROOT / "models" / "reranker-minilm-l6-v0"
XLMR_TOKENIZER = HERE / "tokenizers" / "small-xlmr" / "tokenizer.json"
LANGUAGES = ("en", "de", "es", "zh", "ar")
MODELS_USED = {}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def note(directory):
    for name in ("model.safetensors", "model.onnx", "model-00001-of-00002.safetensors"):
        if (directory / name).exists():
            MODELS_USED[directory.name] = {name: sha256(directory / name)}
    return directory


def tokenizer(path, length):
    tok = Tokenizer.from_file(str(path))
    tok.no_padding()
    tok.enable_truncation(length, strategy="longest_first")
    return tok


class Torch:
    """A transformers model; outputs of one encoded sequence."""

    def __init__(self, directory, kind):
        self.model = kind.from_pretrained(note(directory), dtype=torch.float32).eval()
        self.types = self.model.config.type_vocab_size > 1

    def run(self, ids, type_ids):
        x = torch.tensor([ids])
        more = {"token_type_ids": torch.tensor([type_ids])} if self.types else {}
        with torch.no_grad():
            return self.model(input_ids=x, attention_mask=torch.ones_like(x), **more)

    def logit(self, ids, type_ids):
        return self.run(ids, type_ids).logits[0].numpy()

    def states(self, ids, type_ids):
        return self.run(ids, type_ids).last_hidden_state[0].numpy()


class Onnx:
    def __init__(self, directory):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        self.session = onnxruntime.InferenceSession(str(note(directory) / "model.onnx"), options,
                                                    providers=["CPUExecutionProvider"])
        self.inputs = [i.name for i in self.session.get_inputs()]

    def states(self, ids, type_ids):
        x = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64),
             "token_type_ids": np.array([type_ids])}
        return self.session.run(None, {k: x[k] for k in self.inputs})[0][0]


def unit(v):
    return v / max(np.linalg.norm(v), 1e-12)


def embedding(model, pooling, ids, type_ids):
    states = model.states(ids, type_ids)
    return unit(states[0] if pooling == "cls" else states.mean(axis=0))


def read_jsonl(path):
    return [json.loads(line) for line in open(path, encoding="utf-8")]


def write(name, rows):
    array = np.asarray(rows, "<f4")
    (OUT / name).write_bytes(array.tobytes())
    print(name, array.shape, flush=True)


def dl19():
    folder = SHARED / "data" / "msmarco_dl19"
    text = {r["_id"]: r["text"] for r in read_jsonl(folder / "corpus.jsonl")}
    run = {}
    for line in open(folder / "runs" / "BM25.trec"):
        query, _, doc, rank, *_ = line.split()
        run.setdefault(query, []).append((int(rank), doc))
    model, tok = Torch(RERANKER, AutoModelForSequenceClassification), tokenizer(RERANKER / "tokenizer.json", 512)
    logits = []
    for query in read_jsonl(folder / "queries.jsonl")[:5]:
        for _, doc in sorted(run[query["_id"]])[:100]:
            e = tok.encode(query["text"], text[doc])
            logits.append(model.logit(e.ids, e.type_ids))
    write("dl19-reranker.f32", logits)


def xquad_read(language):
    folder = SHARED / "data" / f"xquad_{language}"
    passages = read_jsonl(folder / "corpus.jsonl")
    text = {p["_id"]: p["text"] for p in passages}
    questions = {q["_id"]: q["text"] for q in read_jsonl(folder / "queries.jsonl")}
    pairs = [line.split("\t")[:2] for line in open(next((folder / "qrels").glob("*.tsv")))][1:]
    return [p["text"] for p in passages[::5]], [(questions[q], text[d]) for q, d in pairs[::10]]


def embed_all(name, model, tok, pooling):
    for language in LANGUAGES:
        rows = []
        for passage in xquad_read(language)[0]:
            e = tok.encode(passage)
            rows.append(embedding(model, pooling, e.ids, e.type_ids))
        write(f"xquad-{language}-{name}.f32", rows)


def rerank_all(name, model, tok):
    for language in LANGUAGES:
        rows = []
        for question, passage in xquad_read(language)[1]:
            e = tok.encode(question, passage)
            rows.append(model.logit(e.ids, e.type_ids))
        write(f"xquad-{language}-{name}.f32", rows)


def xquad():
    mini, bge = CACHE / "all-MiniLM-L6-v2", CACHE / "bge-small-en-v1.5"
    embed_all("minilm", Torch(mini, AutoModel), tokenizer(mini / "tokenizer.json", 256), "mean")
    embed_all("bge", Onnx(bge), tokenizer(bge / "tokenizer.json", 512), "cls")
    rerank_all("reranker", Torch(RERANKER, AutoModelForSequenceClassification),
               tokenizer(RERANKER / "tokenizer.json", 512))


def xlmr():
    models = HERE / "models"
    embed_all("small-xlmr", Torch(models / "small-xlmr", AutoModel), tokenizer(XLMR_TOKENIZER, 256), "mean")
    rerank_all("small-xlmr-reranker", Torch(models / "small-xlmr-reranker", AutoModelForSequenceClassification),
               tokenizer(XLMR_TOKENIZER, 512))


def own_texts():
    """(title, paragraph) of the example documents: all our own words."""
    out = []
    for path in sorted((ROOT / "examples" / "docs").glob("*.md")):
        blocks = [b.strip() for b in path.read_text(encoding="utf-8").split("\n\n")]
        title = next(b for b in blocks if b.startswith("# "))[2:].splitlines()[0]
        out += [(title, b) for b in blocks if len(b) > 200 and not b.startswith(("#", "-", "|", "`"))][:3]
    return out


def random_ids(vocab, lengths, pad):
    """Ids for a model without a tokenizer; every third sequence spells the padding token inside."""
    rng = np.random.default_rng(7)
    out = []
    for i, n in enumerate(lengths):
        ids = rng.integers(5, vocab, n).tolist()
        ids[0] = 0
        if pad is not None and i % 3 == 1 and n > 6:
            ids[3] = ids[n // 2] = pad
        out.append(ids)
    return out


def own():
    cases = {}
    texts = own_texts()
    pairs = [(texts[i][0], texts[(i + step) % len(texts)][1]) for i in range(len(texts)) for step in (0, 7)]
    model, tok = Torch(RERANKER, AutoModelForSequenceClassification), tokenizer(RERANKER / "tokenizer.json", 512)
    rows = []
    for query, passage in pairs:
        e = tok.encode(query, passage)
        rows.append({"ids": e.ids, "second": e.type_ids.index(1), "out": model.logit(e.ids, e.type_ids).tolist()})
    cases["models/reranker-minilm-l6-v0"] = rows
    lengths = [1, 2, 3, 7, 8, 9, 16, 17, 31, 33, 40, 64, 65, 100, 128, 20, 21, 22, 23, 24]
    for name, kind, pad in (("small-bert-reranker", AutoModelForSequenceClassification, None),
                            ("small-xlmr-reranker", AutoModelForSequenceClassification, 1),
                            ("small-xlmr", AutoModel, 1)):
        model = Torch(HERE / "models" / name, kind)
        rows = []
        for ids in random_ids(model.model.config.vocab_size, lengths, pad):
            second = len(ids) // 2 if model.types else len(ids)
            type_ids = [int(i >= second) for i in range(len(ids))]
            out = (model.logit(ids, type_ids) if kind is not AutoModel
                   else embedding(model, "mean", ids, type_ids))
            rows.append({"ids": ids, "second": second, "out": out.tolist()})
        cases["tests/golden/models/" + name] = rows
    with open(OUT / "own.json", "w") as f:
        json.dump(cases, f, separators=(",", ":"))
    print("own.json", {k: len(v) for k, v in cases.items()})


def main():
    torch.manual_seed(0)
    torch.set_num_threads(2)
    OUT.mkdir(exist_ok=True)
    manifest = OUT / "MANIFEST.json"
    record = json.loads(manifest.read_text()) if manifest.exists() else {"models_sha256": {}}
    for part in sys.argv[1:] or ("own", "dl19", "xquad", "xlmr"):
        {"own": own, "dl19": dl19, "xquad": xquad, "xlmr": xlmr}[part]()
    record["generator"] = "tests/golden/make_encoder_goldens.py"
    record["models_sha256"].update(MODELS_USED)
    record["versions"] = {p: importlib.metadata.version(p)
                          for p in ("torch", "transformers", "tokenizers", "onnxruntime", "numpy")}
    record["files_sha256"] = {p.name: sha256(p) for p in sorted(OUT.iterdir()) if p.suffix in (".f32", ".json")
                              and p.name != "MANIFEST.json"}
    manifest.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
