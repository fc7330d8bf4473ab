"""server_peer.py -- the server that one writes in an afternoon: FastAPI before a model, for bench_server.py.

    WN_PEER=sentence-transformers|onnxruntime WN_RERANKER=DIR WN_EMBEDDER=DIR WN_PEER_WORK=DIR WN_THREADS=N
    uvicorn server_peer:app --app-dir bench

POST /rerank {"query", "documents"} -> {"scores": [logits]}; POST /embed {"input": [texts]} -> {"embeddings": [[...]]}.
`def` endpoints, as FastAPI's own pages write them for work that is not async: they run on its pool of 40 threads. No
batching across requests, which is what plain means here. ONNX Runtime gets a graph exported from the same weights,
tokenised by the `tokenizers` package, padded to the longest.
"""
import os
import pathlib

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

RERANKER, EMBEDDER = pathlib.Path(os.environ["WN_RERANKER"]), pathlib.Path(os.environ["WN_EMBEDDER"])
THREADS = int(os.environ["WN_THREADS"])
WORK = pathlib.Path(os.environ["WN_PEER_WORK"])


def with_sentence_transformers():
    import torch
    from sentence_transformers import CrossEncoder, SentenceTransformer
    torch.set_num_threads(THREADS)
    f32 = {"dtype": torch.float32}  # the committed reranker's weights are halves, and would be computed so: four times slower
    cross = CrossEncoder(str(RERANKER), device="cpu", max_length=512, model_kwargs=f32)
    bi = SentenceTransformer(str(EMBEDDER), device="cpu", model_kwargs=f32)
    return (lambda query, documents: cross.predict([(query, d) for d in documents], activation_fn=torch.nn.Identity(), show_progress_bar=False),
            lambda texts: bi.encode(texts, normalize_embeddings=True, show_progress_bar=False))


def export(folder, kind, path):
    import torch
    import transformers

    class ByName(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()

        def forward(self, input_ids, attention_mask, token_type_ids):
            return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)[0]
    # Of unequal lengths: traced without padding the graph would lose its mask.
    names = ["input_ids", "attention_mask", "token_type_ids"]
    x = transformers.AutoTokenizer.from_pretrained(folder)(["a b c", "a"], ["d e f", "d"], padding=True, return_tensors="pt")
    torch.onnx.export(ByName(), tuple(x[k] for k in names), str(path), input_names=names, output_names=["out"],
                      dynamic_axes={k: {0: "b", 1: "s"} for k in names}, opset_version=17, dynamo=False)


def session_of(folder, kind):
    import onnxruntime as ort
    from tokenizers import Tokenizer
    path = WORK / f"{folder.name}.server.onnx"
    if not path.exists():
        export(folder, kind, path)
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding()
    names = [i.name for i in session.get_inputs()]

    def run(texts):
        encoded = tokenizer.encode_batch(texts)
        x = {"input_ids": np.array([e.ids for e in encoded], np.int64),
             "attention_mask": np.array([e.attention_mask for e in encoded], np.int64),
             "token_type_ids": np.array([e.type_ids for e in encoded], np.int64)}
        return session.run(["out"], {k: x[k] for k in names})[0], x["attention_mask"]
    return run


def with_onnxruntime():
    cross, bi = session_of(RERANKER, "AutoModelForSequenceClassification"), session_of(EMBEDDER, "AutoModel")

    def embed(texts):
        hidden, mask = bi(texts)
        mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return lambda query, documents: cross([(query, d) for d in documents])[0][:, 0], embed


score, embed_texts = {"sentence-transformers": with_sentence_transformers, "onnxruntime": with_onnxruntime}[os.environ["WN_PEER"]]()
app = FastAPI()


class Rerank(BaseModel):
    query: str
    documents: list[str]


class Embed(BaseModel):
    input: list[str]


@app.post("/rerank")
def rerank(request: Rerank):
    return {"scores": [float(x) for x in score(request.query, request.documents)]}


@app.post("/embed")
def embed(request: Embed):
    return {"embeddings": [v.tolist() for v in embed_texts(request.input)]}


@app.get("/ready")
def ready():
    return {}
