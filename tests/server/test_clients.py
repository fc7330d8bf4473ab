#!/usr/bin/env python3
"""The vendors' own clients from PyPI, pointed at the real server by base URL alone.

    WINNOW=build/winnow python3 tests/server/test_clients.py

openai, cohere, LangChain's and LlamaIndex's classes, huggingface_hub's client for TEI; then schemathesis
sends what it makes up from /openapi.json for a minute at most (WN_FUZZ_SECONDS), and must not see a 5xx or
an answer that the document does not tell. Runs itself in .venv-clients (tools/venv.sh clients makes it);
SKIPPED where that is absent. Numbers are compared with `winnow score` and `winnow embed`."""
import importlib
import os
import re
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, os.environ.get("WN_VENV_CLIENTS", ".venv-clients"))
PYTHON = os.path.join(VENV, "bin", "python")
if os.path.exists(PYTHON) and os.path.realpath(sys.prefix) != os.path.realpath(VENV):
    os.execv(PYTHON, [PYTHON, os.path.abspath(__file__), *sys.argv[1:]])

from serving import EMBEDDER, RERANKER, SMALL_RERANKER, WINNOW, Server, scratch_folder  # noqa: E402
import test_dialects as numbers  # noqa: E402  (its texts, and the commands' numbers)
from test_dialects import DOCUMENTS, QUERY, TEXTS, TOLERANCE, logits, sigmoid, vectors  # noqa: E402

WHY = None
try:
    for module in ("openai", "cohere", "langchain_openai", "langchain_cohere", "llama_index.core", "schemathesis"):
        importlib.import_module(module)
except ImportError as error:
    WHY = f"SKIPPED: no .venv-clients with the clients ({error}); tools/venv.sh clients makes it"

DOCS = [d for d in DOCUMENTS if d]  # LlamaIndex drops empty nodes
server = base = None


def setUpModule():
    global server, base
    if WHY:
        return
    # A client that asks a vendor for anything would hang or lie: only loopback is meant.
    os.environ.update({"NO_PROXY": "*", "LANGSMITH_TRACING": "false"})
    server = Server("--embedder", EMBEDDER, "--reranker", RERANKER)
    base = server.base


def tearDownModule():
    if server:
        server.stop()


@unittest.skipIf(WHY, WHY)
class Client(unittest.TestCase):
    def near(self, a, b):
        self.assertEqual(len(a), len(b))
        for x, y in zip(a, b):
            self.assertAlmostEqual(x, y, delta=TOLERANCE)

    def ranked(self, pairs, documents=DOCS, raw=False):
        """(index, score) in the order and with the numbers of winnow score."""
        expected = logits(QUERY, documents)
        order = sorted(range(len(documents)), key=lambda i: (-expected[i], i))[:len(pairs)]
        self.assertEqual([i for i, _ in pairs], order)
        self.near([s for _, s in pairs], [expected[i] if raw else sigmoid(expected[i]) for i in order])


class OpenAI(Client):
    def setUp(self):
        import openai
        self.openai = openai
        self.client = openai.OpenAI(base_url=base + "/v1", api_key="none", max_retries=0)

    def test_embeddings_by_the_default_encoding(self):
        reply = self.client.embeddings.create(model="text-embedding-3-small", input=TEXTS)
        for item, expected in zip(reply.data, vectors(TEXTS)):
            self.near(item.embedding, expected)
        self.assertGreater(reply.usage.total_tokens, 0)

    def test_floats_and_dimensions(self):
        reply = self.client.embeddings.create(model="m", input="one text", encoding_format="float", dimensions=4)
        self.assertEqual(len(reply.data[0].embedding), 4)

    def test_base_url_without_v1(self):
        client = self.openai.OpenAI(base_url=base, api_key="none", max_retries=0)
        self.near(client.embeddings.create(model="m", input=TEXTS[0]).data[0].embedding, vectors(TEXTS[:1])[0])

    def test_models(self):
        self.assertEqual({m.id for m in self.client.models.list()}, {"small-xlmr", "reranker-minilm-l6-v0"})
        self.assertEqual(self.client.models.retrieve("small-xlmr").owned_by, "winnow")
        with self.assertRaises(self.openai.NotFoundError):
            self.client.models.retrieve("gpt-x")

    def test_error_is_the_clients_own_exception(self):
        with self.assertRaises(self.openai.BadRequestError) as raised:
            self.client.embeddings.create(model="m", input="")
        self.assertEqual(raised.exception.status_code, 400)
        self.assertIn("empty", raised.exception.message)
        self.assertEqual(raised.exception.param, "input")

    def test_async_client(self):
        import asyncio

        async def embed():
            async with self.openai.AsyncOpenAI(base_url=base + "/v1", api_key="none") as client:
                return await asyncio.gather(*[client.embeddings.create(model="m", input=t) for t in TEXTS])

        for reply, expected in zip(asyncio.run(embed()), vectors(TEXTS)):
            self.near(reply.data[0].embedding, expected)


class Cohere(Client):
    def setUp(self):
        import cohere
        self.cohere = cohere
        self.v1 = cohere.Client("none", base_url=base)
        self.v2 = cohere.ClientV2("none", base_url=base)

    def test_rerank_v2(self):
        reply = self.v2.rerank(model="rerank-v3.5", query=QUERY, documents=DOCUMENTS, top_n=3)
        self.ranked([(r.index, r.relevance_score) for r in reply.results], DOCUMENTS)
        self.assertEqual(reply.meta.billed_units.search_units, 1)

    def test_rerank_v1_with_documents(self):
        documents = [{"text": d} for d in DOCUMENTS]
        reply = self.v1.rerank(model="rerank-english-v3.0", query=QUERY, documents=documents, return_documents=True)
        self.ranked([(r.index, r.relevance_score) for r in reply.results], DOCUMENTS)
        for r in reply.results:
            self.assertEqual(r.document.text, DOCUMENTS[r.index])

    def test_embed_v2(self):
        reply = self.v2.embed(model="embed-v4.0", texts=TEXTS, input_type="search_document",
                              embedding_types=["float", "int8", "ubinary"])
        for got, expected in zip(reply.embeddings.float_, vectors(TEXTS, "--role", "document")):
            self.near(got, expected)
        self.assertEqual(len(reply.embeddings.int8), 3)
        self.assertEqual(len(reply.embeddings.ubinary), 3)

    def test_embed_v1(self):
        reply = self.v1.embed(model="embed-english-v3.0", texts=TEXTS, input_type="search_query")
        for got, expected in zip(reply.embeddings, vectors(TEXTS, "--role", "query")):
            self.near(got, expected)

    def test_error_is_the_clients_own_exception(self):
        with self.assertRaises(self.cohere.errors.BadRequestError) as raised:
            self.v2.rerank(model="m", query="", documents=["a"])
        self.assertIn("query", str(raised.exception.body))


class LangChain(Client):
    def test_openai_embeddings(self):
        from langchain_openai import OpenAIEmbeddings
        # the one option needed: else it sends ids of OpenAI's tokenizer
        model = OpenAIEmbeddings(model="m", base_url=base + "/v1", api_key="none", check_embedding_ctx_length=False)
        for got, expected in zip(model.embed_documents(TEXTS), vectors(TEXTS)):
            self.near(got, expected)
        self.near(model.embed_query(TEXTS[0]), vectors(TEXTS[:1])[0])

    def test_cohere_rerank_and_embeddings(self):
        from langchain_cohere import CohereEmbeddings, CohereRerank
        from langchain_core.documents import Document
        rerank = CohereRerank(model="rerank-v3.5", base_url=base, cohere_api_key="none", top_n=2)
        self.ranked([(r["index"], r["relevance_score"]) for r in rerank.rerank(DOCUMENTS, QUERY)], DOCUMENTS)
        best = rerank.compress_documents([Document(page_content=d) for d in DOCUMENTS], QUERY)
        self.ranked([(DOCUMENTS.index(d.page_content), d.metadata["relevance_score"]) for d in best], DOCUMENTS)
        model = CohereEmbeddings(model="embed-v4.0", base_url=base, cohere_api_key="none")
        self.near(model.embed_query(TEXTS[0]), vectors(TEXTS[:1], "--role", "query")[0])
        self.near(model.embed_documents(TEXTS)[1], vectors(TEXTS, "--role", "document")[1])


class LlamaIndex(Client):
    def postprocess(self, reranker):
        from llama_index.core.schema import NodeWithScore, TextNode
        nodes = [NodeWithScore(node=TextNode(text=d), score=0.0) for d in DOCS]
        got = reranker.postprocess_nodes(nodes, query_str=QUERY)
        return [(DOCS.index(n.node.get_content()), n.score) for n in got]

    def test_cohere_rerank(self):
        from llama_index.postprocessor.cohere_rerank import CohereRerank
        self.ranked(self.postprocess(CohereRerank(api_key="none", base_url=base, model="rerank-v3.5", top_n=3)))

    def test_jina_rerank(self):
        from llama_index.postprocessor.jinaai_rerank import JinaRerank
        self.ranked(self.postprocess(JinaRerank(api_key="none", base_url=base + "/v1", top_n=3)))

    def test_jina_error_reaches_the_user(self):
        from llama_index.postprocessor.jinaai_rerank import JinaRerank
        with self.assertRaisesRegex(RuntimeError, "top_n"):
            self.postprocess(JinaRerank(api_key="none", base_url=base + "/v1", top_n=-1))

    def test_jina_embeddings(self):
        from llama_index.embeddings.jinaai import base as module
        caller = module._JinaAPICaller(base_url=base + "/v1", api_key="none")
        got = caller.get_embeddings(TEXTS, task="retrieval.passage", late_chunking=False)
        for a, b in zip(got, vectors(TEXTS, "--role", "document")):
            self.near(a, b)
        bits = caller.get_embeddings(TEXTS[:1], encoding_type="ubinary")[0]
        expected = vectors(TEXTS[:1])[0]
        self.assertEqual(bits[:len(expected)], [int(x > 0) for x in expected])

    def test_openai_embeddings(self):
        from llama_index.embeddings.openai import OpenAIEmbedding
        model = OpenAIEmbedding(model_name="text-embedding-3-small", api_base=base + "/v1", api_key="none")
        for got, expected in zip(model.get_text_embedding_batch(TEXTS), vectors(TEXTS)):
            self.near(got, expected)

    def test_tei_embeddings(self):
        from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference
        model = TextEmbeddingsInference(model_name="m", base_url=base, text_instruction=" ", query_instruction=" ")
        for got, expected in zip(model.get_text_embedding_batch(TEXTS), vectors(TEXTS)):
            self.near(got, expected)

    def test_tei_rerank(self):
        from llama_index.postprocessor.tei_rerank import TextEmbeddingInference
        self.ranked(self.postprocess(TextEmbeddingInference(base_url=base, model_name="m", top_n=3)))


class HuggingFace(Client):
    def test_feature_extraction_of_the_inference_client(self):
        from huggingface_hub import InferenceClient
        got = InferenceClient(base_url=base + "/embed").feature_extraction(TEXTS[0], normalize=True, truncate=True)
        self.near(got[0].tolist(), vectors(TEXTS[:1])[0])


# CPython 3.11 now and then, while hypothesis describes a strategy: no word about the server.
PYTHONS_OWN = "SystemError: AST constructor recursion depth mismatch"


class OpenApi(Client):
    """Models of a few layers and an index of three lines: what is tested is the door, not the house."""

    def setUp(self):
        folder = scratch_folder()
        index = os.path.join(folder, "docs.wnindex")
        for i, text in enumerate(DOCS[:3]):
            with open(os.path.join(folder, f"{i}.txt"), "w", encoding="utf-8") as file:
                file.write(text + "\n")
        subprocess.run([WINNOW, "index", folder, "-o", index, "--model", EMBEDDER], check=True, capture_output=True)
        self.server = Server("--index", index, "--embedder", EMBEDDER, "--reranker", SMALL_RERANKER)
        self.addCleanup(self.server.stop)

    def schemathesis(self, seconds):
        """Its result, and how many cases it sent."""
        checks = ("not_a_server_error,status_code_conformance,content_type_conformance,"
                  "response_headers_conformance,response_schema_conformance")
        done = subprocess.run(
            [os.path.join(VENV, "bin", "schemathesis"), "run", self.server.base + "/openapi.json", "--checks", checks,
             "--mode", "all", "--max-examples", "25", "--seed", "7", "--phases", "coverage,fuzzing", "--max-time",
             str(seconds), "--request-timeout", "60", "--workers", "2", "--no-color"],
            cwd=scratch_folder(), capture_output=True, text=True, timeout=seconds + 600, check=False)
        cases = re.search(r"(\d+) generated", done.stdout)
        return done, int(cases.group(1)) if cases else 0

    def test_schemathesis_finds_no_5xx_and_no_untold_answer(self):
        seconds = int(os.environ.get("WN_FUZZ_SECONDS", "60"))
        done, cases = self.schemathesis(seconds)
        if not cases:  # a busy machine: the time went into reading the document
            done, cases = self.schemathesis(5 * seconds)
        for _ in range(2):
            if PYTHONS_OWN not in done.stdout: break
            done, cases = self.schemathesis(seconds)
        tail = done.stdout[-6000:] + done.stderr[-2000:]
        self.assertEqual(done.returncode, 0, tail)
        self.assertGreater(cases, 50, tail)
        tested = re.search(r"Tested: (\d+)", done.stdout)
        print(f"schemathesis: {cases} cases, {tested.group(1) if tested else '?'} operations")


del numbers
if __name__ == "__main__":
    unittest.main(warnings="ignore")  # the clients' own: deprecations, sockets left open
