"""searcher.py -- two-stage search over an index, whether reranking pays there, and making one.

Answers are dicts in the shape of `winnow search --format json` (and impact's and eval's) and of the server's POST /search
(docs/SERVER.md): what was not computed is None. An encoder is a name, a directory, or an object of CrossEncoder or
SentenceTransformer, which may be in use elsewhere."""
import json
import os
import warnings

from . import _winnow
from .cross_encoder import CrossEncoder
from .errors import Error
from .models import FIRST_STAGES, LABEL_LEVELS, LENGTH_POLICIES, UNITS, made_of, number_of
from .sentence_transformer import SentenceTransformer


def _embedder(given, threads=0, precision="f32"):
    return None if given is None else made_of(SentenceTransformer, given, threads=threads, compute_precision=precision)


def _reranker(given, threads=0, precision="f32"):
    return None if given is None else made_of(CrossEncoder, given, threads=threads, precision=precision)


def _encoder_of(wrapper):
    return wrapper and wrapper._encoder


# The reports of _winnow.Searcher.study.
_IMPACT, _EVALUATION = 0, 1


def _topic_lines(queries):
    """Texts, or dicts of a queries file, as its lines."""
    return "".join(json.dumps({"text": q} if isinstance(q, str) else q) + "\n" for q in queries)


def _qrels_text(qrels):
    """{query id: {document: relevance}} as BEIR has it."""
    rows = [(query, document, relevance) for query, judged in qrels.items() for document, relevance in judged.items()]
    for query, document, relevance in rows:
        if any(c in f"{query}{document}" for c in "\t\r\n") or relevance != int(relevance):
            raise ValueError(f"qrels: {query!r}, {document!r}, {relevance!r}: names without tabs and lines, relevances as whole numbers")
    return "query-id\tcorpus-id\tscore\n" + "".join(f"{query}\t{document}\t{int(relevance)}\n" for query, document, relevance in rows)


class Searcher:
    """An index with its encoders. Any threads may search; they take turns.

    embedder: None is the model that the index was made with, False none (then the first stage is BM25). reranker: None is none.
    precision: of the encoders that are opened here."""

    def __init__(self, path, *, embedder=None, reranker=None, threads=0, precision="f32"):
        info = _winnow.index_describe(os.fsencode(path))
        if embedder is None and info["model_name"]:
            embedder = self._own_embedder(info, threads, precision)
        self.embedder = _embedder(embedder or None, threads, precision)
        self.reranker = _reranker(reranker, threads, precision)
        self.path = path
        self._searcher = _winnow.Searcher(os.fsencode(path), _encoder_of(self.embedder), _encoder_of(self.reranker), threads)

    @staticmethod
    def _own_embedder(info, threads, precision):
        """By its name in the cache, else from where it lay."""
        try:
            return _embedder(info["model_name"], threads, precision)
        except Error as error:
            if error.status != "not found" or not os.path.isdir(info["model_path"]):
                raise
        return _embedder(info["model_path"], threads, precision)

    @property
    def info(self):
        """Documents, passages, the model's name, how texts are split: as it is now."""
        return self._searcher.describe()

    def search(self, query, k=5, first_stage_k=50, *, first_stage=None, rerank=True, min_score=None, where=None,
               length_policy="truncate", batch_size=0, deadline_ms=0, skip_threshold=None, blend=None):
        """The k best passages: answer["results"], each with both ranks and both scores.

        first_stage: "dense", "bm25", "hybrid"; None is dense where there are embeddings. first_stage_k: candidates that are
        recalled and reranked. where: {"source": "docs/*"}. deadline_ms: candidates are reranked until then. skip_threshold (from
        `winnow advise`): queries whose first stage is at least that sure are not reranked. blend: the weight of the cosine in
        the final order; None is what the reranker recommends, 0 the logit alone."""
        return json.loads(self._searcher.search(
            query, k, first_stage_k, self._stage(first_stage), rerank, min_score, where,
            number_of(length_policy, LENGTH_POLICIES, "length_policy"), batch_size, deadline_ms, skip_threshold, blend))

    def _stage(self, first_stage):
        if first_stage is None:
            first_stage = "dense" if self.embedder else "bm25"
        return number_of(first_stage, FIRST_STAGES, "first_stage")

    def _study(self, report, queries, qrels, k, first_stage_k, first_stage, level, cutoffs, measure, by_query, length_policy, blend,
               progress):
        text, unknown = self._searcher.study(
            report, _topic_lines(queries), None if qrels is None else _qrels_text(qrels), os.fsdecode(self.path), k, first_stage_k,
            self._stage(first_stage), number_of(level, LABEL_LEVELS, "level"), ",".join(map(str, cutoffs)), measure, by_query,
            number_of(length_policy, LENGTH_POLICIES, "length_policy"), blend, progress)
        if unknown:
            warnings.warn(f"{len(unknown)} expected sources are no document of the index ({unknown[0]!r}); they count as not found",
                          stacklevel=3)
        return json.loads(text)

    def impact(self, queries, k=5, first_stage_k=50, *, first_stage=None, by_query=True, length_policy="truncate", blend=None,
               progress=None):
        """What reranking changes on these queries (texts), and what it costs; needs no labels. `total` and `queries`."""
        if self.reranker is None:
            raise ValueError("this searcher has no reranker")
        return self._study(_IMPACT, queries, None, k, first_stage_k, first_stage, "document", (), "", by_query, length_policy, blend,
                           progress)

    def evaluate(self, queries, qrels=None, first_stage_k=50, *, first_stage=None, level="document", cutoffs=(1, 3, 5, 10),
                 measure="ndcg_cut_10", by_query=True, length_policy="truncate", blend=None, progress=None):
        """Whether reranking pays: quality of the first stage and reranked, the difference with its interval and p-value
        (docs/EVALUATION.md). queries: dicts with "text", and "id" for qrels, {id: {document: relevance}}, or else
        "expected_source", a source or several. Without a reranker: the first stage alone. `settings`, `measures`, `queries`."""
        return self._study(_EVALUATION, queries, qrels, 1, first_stage_k, first_stage, level, cutoffs, measure, by_query, length_policy,
                           blend, progress)


def compare(query, documents, *, embedder=None, reranker=None, length_policy="truncate"):
    """Both scores and both ranks of passages that are given: answer["results"], best first."""
    if embedder is None and reranker is None:
        raise ValueError("give an embedder, a reranker or both")
    return json.loads(_winnow.compare(_encoder_of(_embedder(embedder)), _encoder_of(_reranker(reranker)), query, documents,
                                      number_of(length_policy, LENGTH_POLICIES, "length_policy")))


def _warn(message):
    warnings.warn(message, stacklevel=3)


def build_index(path, inputs, embedder=None, *, chunk_size=500, chunk_overlap=100, unit="characters", keep_missing=False,
                stemming=True, progress=None, warning=_warn):
    """Makes an index or brings it up to date, and returns what was done. inputs: folders (.md, .markdown, .txt), files, BEIR's
    corpus.jsonl; one or several. embedder None: BM25 alone. progress(stage, done, total) is called now and then. What an
    exception or Ctrl-C leaves is whole, and the next call goes on from there."""
    inputs = [inputs] if isinstance(inputs, (str, bytes, os.PathLike)) else inputs
    return _winnow.index_build(os.fsencode(path), tuple(os.fsencode(i) for i in inputs), _encoder_of(_embedder(embedder)), chunk_size,
                               chunk_overlap, number_of(unit, UNITS, "unit"), keep_missing, stemming, progress, warning)


def put_documents(path, documents, embedder=None, *, wait_ms=0):
    """Adds documents to an index, or replaces those of the same source, all or none. documents: dicts with "source" and
    "text", and where wanted "title", "metadata" (a dict, for `where`) and "markdown" (True). embedder: the index's own; None
    only for an index without embeddings. wait_ms: for another writer."""
    rows = []
    for document in documents:
        unknown = set(document) - {"source", "text", "title", "metadata", "markdown"}
        if unknown:
            raise ValueError(f"a document has {', '.join(sorted(unknown))}; known are source, text, title, metadata, markdown")
        metadata = document.get("metadata")
        rows.append((document["source"], document.get("title"), document["text"], None if metadata is None else json.dumps(metadata),
                     bool(document.get("markdown"))))
    return _winnow.index_put(os.fsencode(path), tuple(rows), _encoder_of(_embedder(embedder)), wait_ms)


def remove_documents(path, sources, *, wait_ms=0):
    """Removes the documents of these sources, all or none; whether there was each."""
    return _winnow.index_remove(os.fsencode(path), tuple(sources), wait_ms)
