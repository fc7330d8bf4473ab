"""cross_encoder.py -- CrossEncoder, called as sentence-transformers' class of that name."""
import warnings
from typing import NamedTuple

import numpy as np

from . import _winnow
from .errors import TruncationWarning
from .models import LENGTH_POLICIES, number_of, one_of, open_model, slices, to_tensor

# Pairs of one call into the library, which can't be interrupted.
CALL_PAIRS = 1024


class PairScore(NamedTuple):
    """What is known of one pair."""
    score: float               # the activation applied to the logit
    logit: float               # rank by this: sigmoids saturate
    tokens_seen: int           # of the passage
    tokens_dropped: int        # of the passage: not read
    query_tokens_dropped: int
    window: tuple              # bytes of the passage that the score is of


def _sigmoid(logits):
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-logits, dtype=np.float32))).astype(np.float32)


def _activated(activation, logits):
    """A module or a function of torch's own, or any callable over an array."""
    of = (activation, type(activation), getattr(activation, "__self__", None))
    if not any(str(getattr(x, "__module__", "")).partition(".")[0] == "torch" for x in of):
        return np.asarray(activation(logits), dtype=np.float32)
    import torch
    return activation(torch.from_numpy(logits)).detach().numpy()


class CrossEncoder:
    """A cross-encoder. Any threads may call it; they take turns.

    model_name_or_path: a directory as the Hugging Face hub has them, or a name in winnow's cache (winnow.pull).
    precision: "f32", "bf16", "int8", "auto". length_policy: "truncate" warns, "error" raises TooLongError, "windows" scores a
    long passage by its best part. threads: 0 is one a processor."""

    def __init__(self, model_name_or_path, *, max_length=None, activation_fn=None, num_labels=None, device=None, precision="f32",
                 length_policy="truncate", threads=0):
        if num_labels not in (None, 1):
            raise ValueError(f"num_labels is {num_labels}; winnow has cross-encoders with one label")
        self._policy = number_of(length_policy, LENGTH_POLICIES, "length_policy")
        self._model = open_model(model_name_or_path, precision, max_length, device)
        self._encoder = _winnow.CrossEncoder(self._model, threads)
        self.info = self._model.describe()
        self._given_activation = activation_fn

    @property
    def max_length(self):
        return self.info["max_length"]

    @property
    def activation_fn(self):
        if self._given_activation is not None:
            return self._given_activation
        return _sigmoid if self.info["activation"] == "sigmoid" else np.asarray

    def score_pairs(self, pairs, batch_size=64, show_progress_bar=None):
        """A PairScore for each (query, passage). Not in sentence-transformers: with what was not read."""
        pairs = list(pairs)
        queries, passages = [q for q, _ in pairs], [p for _, p in pairs]
        found = []
        for begin, end in slices(len(pairs), max(CALL_PAIRS, batch_size), show_progress_bar):
            found += self._encoder.score(queries[begin:end], passages[begin:end], batch_size, self._policy)
        return [PairScore(*pair[:5], pair[5:]) for pair in found]

    def _logits(self, pairs, batch_size, show):
        scores = self.score_pairs(pairs, batch_size, show)
        cut = sum(1 for s in scores if s.tokens_dropped or s.query_tokens_dropped)
        if cut and LENGTH_POLICIES[self._policy] == "truncate":
            warnings.warn(f"{cut} of {len(scores)} pairs are longer than the {self.max_length} tokens that {self.info['name']} reads, "
                          "and were cut; score_pairs tells which, length_policy=\"windows\" reads all", TruncationWarning, stacklevel=3)
        return np.array([s.logit for s in scores], dtype=np.float32)

    def predict(self, inputs=None, batch_size=64, show_progress_bar=None, activation_fn=None, apply_softmax=False,
                convert_to_numpy=True, convert_to_tensor=False, *, sentences=None):
        """Scores of (query, passage) pairs, float32 [n]; of a single pair, a number. batch_size changes memory, never scores.
        apply_softmax does nothing, as there with one label."""
        inputs = one_of(inputs, sentences, "sentences")
        single = len(inputs) == 2 and all(isinstance(text, str) for text in inputs)
        logits = self._logits([inputs] if single else inputs, batch_size, show_progress_bar)
        scores = _activated(activation_fn or self.activation_fn, logits)
        if single:
            scores = scores[0]
        if convert_to_tensor:
            return to_tensor(np.asarray(scores))
        return scores if convert_to_numpy else scores.tolist()

    def rank(self, query, documents, top_k=None, return_documents=False, batch_size=64, show_progress_bar=None,
             activation_fn=None, apply_softmax=False, convert_to_numpy=True, convert_to_tensor=False):
        """[{"corpus_id", "score", "text"?}], best first. Where an activation makes scores equal, the logit decides."""
        documents = list(documents)
        logits = self._logits([(query, document) for document in documents], batch_size, show_progress_bar)
        scores = _activated(activation_fn or self.activation_fn, logits)
        best = sorted(range(len(documents)), key=lambda i: (-scores[i], -logits[i], i))[:top_k]
        return [{"corpus_id": i, "score": float(scores[i]), **({"text": documents[i]} if return_documents else {})} for i in best]
