"""sentence_transformer.py -- SentenceTransformer, called as sentence-transformers' class of that name."""
import json
import os
import warnings

import numpy as np

from . import _winnow
from .errors import TruncationWarning
from .models import LENGTH_POLICIES, number_of, one_of, open_model, slices, to_tensor

# Texts of one call into the library, which can't be interrupted.
CALL_TEXTS = 1024
# Below this many embeddings, ranges taken from them are no ranges of the model's.
FEW_FOR_RANGES = 100


def _unit(vectors):
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(norms, 1e-12)


def _quantized(vectors, precision):
    """As sentence-transformers' quantize_embeddings, with ranges of the vectors themselves."""
    if precision == "float32":
        return vectors
    if precision in ("binary", "ubinary"):
        bits = np.packbits(vectors > 0, axis=-1)
        return bits if precision == "ubinary" else (bits.astype(np.int16) - 128).astype(np.int8)
    if precision not in ("int8", "uint8"):
        raise ValueError(f"precision is {precision!r}; it may be float32, int8, uint8, binary, ubinary")
    if len(vectors) < FEW_FOR_RANGES:
        warnings.warn(f"the ranges of {precision} are those of {len(vectors)} embeddings; give at least {FEW_FOR_RANGES} at once",
                      stacklevel=3)
    low = vectors.min(axis=0)
    steps = (vectors.max(axis=0) - low) / 255
    steps[steps == 0] = 1
    levels = (vectors - low) / steps
    return levels.astype(np.uint8) if precision == "uint8" else (levels - 128).astype(np.int8)


def _dot(a, b):
    return a @ b.T


def _distance(order):
    return lambda a, b: -np.linalg.norm(a[:, None, :] - b[None, :, :], ord=order, axis=-1)


SIMILARITIES = {"cosine": lambda a, b: _dot(_unit(a), _unit(b)), "dot": _dot, "euclidean": _distance(2), "manhattan": _distance(1)}


class SentenceTransformer:
    """A bi-encoder. Any threads may call it; they take turns.

    model_name_or_path, threads, length_policy: as CrossEncoder's ("windows" is for pairs alone). compute_precision is that of
    the products ("f32", "bf16", "int8", "auto"); encode's `precision` is that of the embeddings it returns."""

    def __init__(self, model_name_or_path, *, device=None, prompts=None, default_prompt_name=None, similarity_fn_name=None,
                 truncate_dim=None, max_length=None, compute_precision="f32", length_policy="truncate", threads=0):
        self._policy = number_of(length_policy, LENGTH_POLICIES[:2], "length_policy")
        self._model = open_model(model_name_or_path, compute_precision, max_length, device)
        self._encoder = _winnow.BiEncoder(self._model, threads)
        self.info = self._model.describe()
        config = self._config()
        self.prompts = {"query": self.info["query_prompt"], "document": self.info["document_prompt"], **(config.get("prompts") or {}),
                        **(prompts or {})}
        self.default_prompt_name = default_prompt_name or config.get("default_prompt_name")
        self.similarity_fn_name = similarity_fn_name or config.get("similarity_fn_name") or "cosine"
        self.truncate_dim = truncate_dim
        if self.default_prompt_name is not None:
            self._prompt(None, self.default_prompt_name)
        if self.similarity_fn_name not in SIMILARITIES:
            raise ValueError(f"similarity_fn_name is {self.similarity_fn_name!r}; it may be " + ", ".join(SIMILARITIES))

    def _config(self):
        """What the library need not know of config_sentence_transformers.json, which it has read and checked."""
        path = os.path.join(self.info["path"], "config_sentence_transformers.json")
        if not os.path.exists(path):
            return {}
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    @property
    def max_seq_length(self):
        return self.info["max_length"]

    def get_sentence_embedding_dimension(self):
        return min(self.info["hidden"], self.truncate_dim or self.info["hidden"])

    get_embedding_dimension = get_sentence_embedding_dimension

    def _prompt(self, prompt, name):
        name = name or self.default_prompt_name
        if prompt is not None or name is None:
            return prompt or ""
        if name not in self.prompts:
            raise ValueError(f"{self.info['name']} has no prompt named {name!r}; it has: {', '.join(self.prompts)}")
        return self.prompts[name] or ""

    def _embeddings(self, texts, show):
        vectors = np.empty((len(texts), self.info["hidden"]), dtype=np.float32)
        cut = 0
        for begin, end in slices(len(texts), CALL_TEXTS, show):
            floats, dropped = self._encoder.embed(texts[begin:end], self._policy)
            vectors[begin:end] = np.frombuffer(floats, dtype=np.float32).reshape(end - begin, -1)
            cut += np.count_nonzero(np.frombuffer(dropped, dtype=np.uint32))
        if cut:
            warnings.warn(f"{cut} of {len(texts)} texts are longer than the {self.max_seq_length} tokens that {self.info['name']} "
                          "reads, and were cut", TruncationWarning, stacklevel=4)
        return vectors

    def encode(self, inputs=None, prompt_name=None, prompt=None, batch_size=32, show_progress_bar=None,
               output_value="sentence_embedding", precision="float32", convert_to_numpy=True, convert_to_tensor=False, device=None,
               normalize_embeddings=False, truncate_dim=None, *, sentences=None):
        """Embeddings, float32 [n, dim], pooled and normalised as the model's files say; of a single str, [dim]. prompt, or the
        one of that name, stands in front of each text. batch_size is there for the interface: the library fills its batches by
        tokens."""
        inputs = one_of(inputs, sentences, "sentences")
        if output_value != "sentence_embedding":
            raise ValueError(f"output_value is {output_value!r}; winnow gives sentence_embedding")
        single = isinstance(inputs, str)
        texts = [inputs] if single else list(inputs)
        front = self._prompt(prompt, prompt_name)
        vectors = self._embeddings([front + text for text in texts] if front else texts, show_progress_bar)
        dim = truncate_dim or self.truncate_dim
        if dim:
            vectors = vectors[:, :dim]
        if normalize_embeddings:
            vectors = _unit(vectors)
        vectors = _quantized(vectors, precision) if len(texts) else vectors
        out = vectors[0] if single else vectors
        if convert_to_tensor:
            return to_tensor(np.ascontiguousarray(out))
        return out if convert_to_numpy or single else list(out)

    def encode_query(self, inputs=None, prompt_name=None, **options):
        """encode with the prompt for queries."""
        return self.encode(inputs, prompt_name or "query", **options)

    def encode_document(self, inputs=None, prompt_name=None, **options):
        """encode with the prompt for documents: the first there is of "document", "passage" and "corpus"."""
        named = [name for name in ("document", "passage", "corpus") if self.prompts.get(name)]
        return self.encode(inputs, prompt_name or (named[0] if named else "document"), **options)

    def similarity(self, a, b):
        """[len(a), len(b)], by similarity_fn_name; distances are negated, so that larger is nearer."""
        return SIMILARITIES[self.similarity_fn_name](np.atleast_2d(np.asarray(a)), np.atleast_2d(np.asarray(b)))
