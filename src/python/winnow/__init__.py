"""winnow: two-stage retrieval. Bi-encoders, cross-encoders and an index in one file, computed by libwinnow; no torch.

    from winnow import CrossEncoder, SentenceTransformer     # the calls of sentence-transformers
    from winnow import Searcher, build_index                 # two-stage search, and what reranking changed
    from winnow.langchain import WinnowReranker              # where langchain-core is installed
    from winnow.llama_index import WinnowRerank              # where llama-index-core is installed

docs/PYTHON.md tells what is the same as there and what is not."""
from .cross_encoder import CrossEncoder, PairScore
from .errors import ArgumentError, Error, TooLongError, TruncationWarning
from .models import model_path, pull, version
from .searcher import Searcher, build_index, compare, put_documents, remove_documents
from .sentence_transformer import SentenceTransformer

__version__ = version()
__all__ = ["ArgumentError", "CrossEncoder", "Error", "PairScore", "Searcher", "SentenceTransformer", "TooLongError",
           "TruncationWarning", "build_index", "compare", "model_path", "pull", "put_documents", "remove_documents", "version"]
