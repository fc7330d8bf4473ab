"""teacher.py -- the two bi-encoders whose agreement teaches the reranker.

all-MiniLM-L6-v2 (mean pooling) and bge-small-en-v1.5 (CLS pooling, its own
query instruction) embed every query and passage once; a teacher score is
the sum of their cosines, each standardised over the candidates of one query
(mine.py). Embedding runs through OpenVINO because its bf16 path is about
three times as fast on a CPU as plain PyTorch; the vectors differ from the
f32 ones by less than 1e-2, far below what the ranking of a teacher needs.

Vectors land as float16 .npy files next to a list of the texts' hashes, so
an interrupted run continues with the texts that are not embedded yet.
"""
import hashlib
import json
import os
import time

import numpy as np
from tokenizers import Tokenizer

BGE_INSTRUCTION = "Represent this sentence for searching relevant passages: "
TEACHERS = {
    "all-MiniLM-L6-v2": {"pooling": "mean", "instruction": ""},
    "bge-small-en-v1.5": {"pooling": "cls", "instruction": BGE_INSTRUCTION},
}
MAX_TOKENS = 128


def _compile(model_dir, threads):
    """An OpenVINO model for a folder with model.onnx or model.safetensors."""
    import openvino as ov

    core = ov.Core()
    onnx = os.path.join(model_dir, "model.onnx")
    if os.path.exists(onnx):
        model = core.read_model(onnx)
    else:
        import torch
        from transformers import BertModel

        bert = BertModel.from_pretrained(model_dir, attn_implementation="eager").eval()

        class Plain(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.bert = bert

            def forward(self, input_ids, attention_mask, token_type_ids):
                return self.bert(input_ids=input_ids, attention_mask=attention_mask,
                                 token_type_ids=token_type_ids)[0]

        ids = torch.ones(2, 7, dtype=torch.long)
        example = {"input_ids": ids, "attention_mask": ids, "token_type_ids": ids * 0}
        model = ov.convert_model(Plain(), example_input=example)
    hints = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": threads}
    return core.compile_model(model, "CPU", hints)


class BiEncoder:
    """One teacher; encode() gives unit vectors, float32, [n, 384]."""

    def __init__(self, name, model_dir, threads=2, max_tokens=MAX_TOKENS):
        self.spec = TEACHERS[name]
        self.name = name
        self.net = _compile(model_dir, threads)
        self.tokenizer = Tokenizer.from_file(os.path.join(model_dir, "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_tokens)

    def encode(self, texts, query=False, batch=32, progress=None):
        prefix = self.spec["instruction"] if query else ""
        out = np.zeros((len(texts), 384), np.float32)
        started = time.time()
        done = 0
        # Chunks of 4,096 bound the memory of the token lists; inside one,
        # sorting by length keeps the padding near nothing.
        for base in range(0, len(texts), 4096):
            chunk = [prefix + t for t in texts[base:base + 4096]]
            ids = [e.ids for e in self.tokenizer.encode_batch(chunk)]
            order = np.argsort([len(x) for x in ids], kind="stable")
            for at in range(0, len(order), batch):
                rows = order[at:at + batch]
                out[base + rows] = self._forward([ids[r] for r in rows])
            done += len(chunk)
            if progress:
                progress(f"{self.name}: {done}/{len(texts)} texts, "
                         f"{done / (time.time() - started):.0f} a second")
        return out

    def _forward(self, ids):
        width = max(len(x) for x in ids)
        tokens = np.zeros((len(ids), width), np.int64)
        mask = np.zeros_like(tokens)
        for row, x in enumerate(ids):
            tokens[row, :len(x)] = x
            mask[row, :len(x)] = 1
        hidden = self.net([tokens, mask, np.zeros_like(tokens)])[0]
        if self.spec["pooling"] == "cls":
            vec = hidden[:, 0]
        else:
            weight = mask[:, :, None].astype(np.float32)
            vec = (hidden * weight).sum(1) / weight.sum(1)
        return vec / np.maximum(np.linalg.norm(vec, axis=1, keepdims=True), 1e-12)


def embed_cached(name, model_dir, texts, cache_file, query=False, log=print, threads=2, max_tokens=MAX_TOKENS):
    """Vectors of texts, from cache_file when its texts are the same ones."""
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    stamp = cache_file + ".json"
    if os.path.exists(cache_file) and os.path.exists(stamp):
        with open(stamp) as f:
            stored = json.load(f)
            if stored["sha256"] == digest and stored.get("max_tokens", MAX_TOKENS) == max_tokens:
                return np.load(cache_file)
    os.makedirs(os.path.dirname(cache_file), exist_ok=True)
    vec = BiEncoder(name, model_dir, threads, max_tokens).encode(texts, query, progress=log).astype(np.float16)
    with open(cache_file + ".part", "wb") as f:
        np.save(f, vec)
    os.replace(cache_file + ".part", cache_file)
    with open(stamp, "w") as f:
        json.dump({"sha256": digest, "texts": len(texts), "teacher": name, "query": query, "max_tokens": max_tokens}, f)
    return vec
