"""collection.py -- reading collections, queries and judgements; BM25.

Shared by mining, fine-tuning and evaluation, so that all three see one text
of a passage (title, blank, body) and one BM25. The BM25 here is the plain
Robertson form (k1 0.9, b 0.4, lowercase letters-and-digits tokens, a short
stop list, no stemming); it is a miner of hard negatives and a baseline, and
is not meant to equal winnow's own index to the last digit.
"""
import gzip
import json
import re

import numpy as np
import scipy.sparse as sp

STOP = frozenset("a an and are as at be but by for if in into is it no not of on or such that the "
                 "their then there these they this to was will with what how who when where which "
                 "why does do did can i you".split())
WORD = re.compile(r"[^\W_]+")


def read_jsonl(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as f:
        for line in f:
            if line.strip():
                yield json.loads(line)


def passage_text(record):
    title, text = record.get("title") or "", record.get("text") or ""
    return f"{title} {text}".strip()


def read_corpus(path):
    """(ids, texts) of a corpus.jsonl in BEIR layout."""
    ids, texts = [], []
    for record in read_jsonl(path):
        ids.append(str(record.get("_id", len(ids))))
        texts.append(passage_text(record))
    return ids, texts


def read_queries(path):
    return {str(r["_id"]): r["text"] for r in read_jsonl(path)}


def read_qrels(path):
    """{query: {doc: grade}} from a BEIR .tsv (header) or a TREC .trec file."""
    out = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            part = line.split()
            if len(part) == 4:
                query, doc, grade = part[0], part[2], part[3]
            elif len(part) == 3 and part[2].lstrip("-").isdigit():
                query, doc, grade = part
            else:
                continue
            out.setdefault(query, {})[doc] = int(grade)
    return out


def read_run(path, depth):
    """{query: [doc, ...]} in rank order from a TREC run file."""
    rows = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            query, _, doc, rank, _score = line.split()[:5]
            rows.setdefault(query, []).append((int(rank), doc))
    return {q: [d for _, d in sorted(r)][:depth] for q, r in rows.items()}


def words(text):
    return [w for w in WORD.findall(text.lower()) if w not in STOP]


class BM25:
    """An in-memory BM25 index; search() is exact, one sparse product."""

    def __init__(self, texts, k1=0.9, b=0.4):
        self.vocab = {}
        rows, cols, vals, lengths = [], [], [], []
        for row, text in enumerate(texts):
            counts = {}
            for w in words(text):
                t = self.vocab.setdefault(w, len(self.vocab))
                counts[t] = counts.get(t, 0) + 1
            lengths.append(sum(counts.values()))
            rows.extend([row] * len(counts))
            cols.extend(counts.keys())
            vals.extend(counts.values())
        n = len(texts)
        lengths = np.asarray(lengths, np.float32)
        tf = np.asarray(vals, np.float32)
        cols = np.asarray(cols)
        df = np.bincount(cols, minlength=len(self.vocab))
        self.idf = np.log(1 + (n - df + 0.5) / (df + 0.5)).astype(np.float32)
        norm = k1 * (1 - b + b * lengths[np.asarray(rows)] / max(lengths.mean(), 1e-9))
        weight = self.idf[cols] * tf * (k1 + 1) / (tf + norm)
        self.matrix = sp.csr_matrix((weight, (cols, rows)), shape=(len(self.vocab), n))

    def search(self, query, k):
        """(rows, scores) of the k best passages with a score above 0."""
        terms = [self.vocab[w] for w in set(words(query)) if w in self.vocab]
        if not terms:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        scores = np.asarray(self.matrix[terms].sum(axis=0)).ravel()
        k = min(k, int((scores > 0).sum()))
        best = np.argpartition(-scores, k - 1)[:k] if k else np.zeros(0, np.int64)
        best = best[np.lexsort((best, -scores[best]))]
        return best, scores[best]
