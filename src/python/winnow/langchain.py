"""langchain.py -- winnow as LangChain's embeddings, cross-encoder, document compressor and retriever (langchain-core).

`model` is a CrossEncoder, a SentenceTransformer, or what one is made of: a name or a directory."""
from typing import Any, Optional

from langchain_core.cross_encoders import BaseCrossEncoder
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever

from .cross_encoder import CrossEncoder
from .models import made_of
from .searcher import Searcher
from .sentence_transformer import SentenceTransformer


class WinnowEmbeddings(Embeddings):
    """options: SentenceTransformer's, where a model is named."""

    def __init__(self, model, **options):
        self.model = made_of(SentenceTransformer, model, **options)

    def embed_documents(self, texts):
        return self.model.encode_document(list(texts)).tolist()

    def embed_query(self, text):
        return self.model.encode_query(text).tolist()


class WinnowCrossEncoder(BaseCrossEncoder):
    """For what takes a cross-encoder, as CrossEncoderReranker. options: CrossEncoder's, where a model is named."""

    def __init__(self, model, **options):
        self.model = made_of(CrossEncoder, model, **options)

    def score(self, text_pairs):
        return self.model.predict(list(text_pairs)).tolist()


class WinnowReranker(BaseDocumentCompressor):
    """The top_n best documents (None: all), each with its metadata and relevance_score, the score, and rank_change, how many
    places it has moved up."""

    model: Any
    top_n: Optional[int] = 3

    def __init__(self, model, **fields):
        super().__init__(model=made_of(CrossEncoder, model), **fields)

    def compress_documents(self, documents, query, callbacks=None):
        ranked = self.model.rank(query, [document.page_content for document in documents], top_k=self.top_n)
        return [documents[r["corpus_id"]].model_copy(update={"metadata": {
            **documents[r["corpus_id"]].metadata, "relevance_score": r["score"], "rank_change": r["corpus_id"] - place}})
            for place, r in enumerate(ranked)]


class WinnowRetriever(BaseRetriever):
    """Two-stage search as a retriever: the metadata of a passage, and beside it what is known of its ranks and scores. search:
    Searcher.search's options."""

    searcher: Any
    search: dict = {}

    def __init__(self, searcher, **fields):
        super().__init__(searcher=made_of(Searcher, searcher), **fields)

    def _get_relevant_documents(self, query, *, run_manager):
        results = self.searcher.search(query, **self.search)["results"]
        return [Document(page_content=r["content"], metadata={
            **r["metadata"], **{key: value for key, value in r.items() if key not in ("content", "metadata", "document")}})
            for r in results]
