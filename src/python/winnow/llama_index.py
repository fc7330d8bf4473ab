"""llama_index.py -- winnow as LlamaIndex's embedding and node postprocessor (llama-index-core).

`model` is a CrossEncoder, a SentenceTransformer, or what one is made of: a name or a directory."""
import asyncio
from typing import Optional

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode

from .cross_encoder import CrossEncoder
from .models import made_of
from .sentence_transformer import SentenceTransformer


class WinnowEmbedding(BaseEmbedding):
    _model: SentenceTransformer = PrivateAttr()

    def __init__(self, model, **fields):
        model = made_of(SentenceTransformer, model)
        super().__init__(model_name=model.info["name"], **fields)
        self._model = model

    @classmethod
    def class_name(cls):
        return "WinnowEmbedding"

    def _get_query_embedding(self, query):
        return self._model.encode_query(query).tolist()

    def _get_text_embedding(self, text):
        return self._model.encode_document(text).tolist()

    def _get_text_embeddings(self, texts):
        return self._model.encode_document(list(texts)).tolist()

    async def _aget_query_embedding(self, query):
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text):
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts):
        return await asyncio.to_thread(self._get_text_embeddings, texts)


class WinnowRerank(BaseNodePostprocessor):
    """The top_n best nodes (None: all) by the cross-encoder. A node's score is the cross-encoder's; the one it came with is kept
    in its metadata as retrieval_score."""

    top_n: Optional[int] = 5
    _model: CrossEncoder = PrivateAttr()

    def __init__(self, model, **fields):
        super().__init__(**fields)
        self._model = made_of(CrossEncoder, model)

    @classmethod
    def class_name(cls):
        return "WinnowRerank"

    def _postprocess_nodes(self, nodes, query_bundle=None):
        if query_bundle is None:
            raise ValueError("reranking needs the query: give query_bundle or query_str")
        texts = [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
        best = []
        for r in self._model.rank(query_bundle.query_str, texts, top_k=self.top_n):
            node = nodes[r["corpus_id"]]
            node.node.metadata["retrieval_score"] = node.score
            node.score = r["score"]
            best.append(node)
        return best
