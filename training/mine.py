"""mine.py -- make the training groups: a query, some passages, a target.

Three kinds of group, all of GROUP passages:

 distil   a web-style query against the MS MARCO passages (unlabelled text);
          target: the two teachers' summed, standardised cosines. Passages are
          the teachers' own best, BM25's best, and one random. Queries with
          nothing near them in the pool teach little, so those with the best
          top-1 teacher score go first.
 pseudo   the same with a query cut from a passage by rule (the subject of
          "X is a ...", or the rarest short span of a sentence). Here the pool
          certainly holds good answers; real queries often have none in it.
 label    a question with its labelled passage against judged negatives and
          BM25's best of the same pool that do not hold the answer; the target
          is the label.

Never read here: TREC DL topics and judgements, SciFact test, Cranfield,
XQuAD, TrecQA test. The MS MARCO passages are the pool that the DL19
benchmark draws on (text only), so DL19 figures of the result are those of a
model that has seen the corpus, as a fine-tuned model has; the card says so.

Rejected: dense mining in the labelled pools (embedding 75,000 passages costs
a sixth of the whole CPU budget), and z-scores per query (a query that has no
answer in the pool would get the same confident targets as one that has).
"""
import argparse
import json
import os
import random
import re

import numpy as np

from collection import BM25, STOP, WORD, passage_text, read_corpus, read_jsonl, read_qrels, read_queries
from teacher import TEACHERS, embed_cached

GROUP = 8
WEB = ("msmarco-dev", "msmarco-v2-dev2")
# How many questions of each labelled source are used at most, and whether
# its negatives are judged ones. WikiQA is left out: its licence is research only.
LABELLED = {"qed_nq": 8400, "nq_open_oracle_dev": 2700, "selqa_dev_test": 2300, "boolq_dev": 2000,
            "squad_v1_train": 4000, "medquad_5000": 1000, "covid_qa": 600, "pubmedqa_pqal": 600}
SUBJECT = re.compile(r"^(?:(?:the|a|an)\s+)?((?:[\w'-]+\s){1,5})(?:is|are|was|were|refers to|means)\s"
                     r"(?:a|an|the|one|when|used|any)?\s?", re.I)
SENTENCE = re.compile(r"(?<=[.!?])\s+")


def pseudo_query(text, idf, rng):
    """A short query whose answer the text may be, or None."""
    for sentence in SENTENCE.split(text)[:2]:
        m = SUBJECT.match(sentence)
        if m and rng.random() < 0.7:
            subject = m.group(1).strip().lower()
            tokens = subject.split()
            if not any(t in STOP for t in (tokens[0], tokens[-1])):
                form = rng.choice(["what is {}", "what are {}", "{} definition", "define {}", "{}",
                                   "{} meaning", "what does {} mean", "what is the {}"])
                return form.format(subject)
    best, score = None, 0.0
    for sentence in SENTENCE.split(text):
        tokens = WORD.findall(sentence.lower())
        for width in (2, 3, 4, 5):
            for at in range(len(tokens) - width + 1):
                span = tokens[at:at + width]
                if span[0] in STOP or span[-1] in STOP:
                    continue
                # The cap keeps misspelt and unique words from winning.
                value = sum(min(idf.get(t, 0.0), 7.0) for t in span) / (width + 1.5)
                value *= 0.7 + 0.6 * rng.random()
                if value > score:
                    best, score = span, value
    if best is None:
        return None
    form = rng.choice(["{}", "{}", "{}", "what is {}", "how does {} work", "what causes {}", "{} facts"])
    return form.format(" ".join(best))


def standardise(scores, stats):
    """Summed teacher scores: each teacher's cosines on its own scale."""
    return sum((s - m) / d for s, (m, d) in zip(scores, stats))


def distil_groups(queries, kind, pool, vectors, query_vectors, bm25, stats, rng, per_query):
    """Yield (strength, group); strength is the best teacher score."""
    n = len(pool)
    for row, query in enumerate(queries):
        if row % 64 == 0:  # one matrix product for 64 queries: ten times as fast
            block = standardise([q[row:row + 64] @ v.T for v, q in zip(vectors, query_vectors)], stats)
        score = block[row % 64]
        dense = np.argpartition(-score, 40)[:40]
        dense = dense[np.argsort(-score[dense])]
        lexical, _ = bm25.search(query, 100)
        for _ in range(per_query):
            chosen = list(dense[:2]) + rng.sample(list(dense[2:12]), 1) + rng.sample(list(dense[12:]), 1)
            for source, want in ((list(lexical[:20]), 2), (list(lexical[20:]), 1), (range(n), 8)):
                fresh = [int(x) for x in (rng.sample(list(source), min(len(source), 12)) if want < 8
                                          else rng.sample(source, 12)) if x not in chosen]
                chosen += fresh[:min(want, GROUP - len(chosen))]
            chosen = [int(x) for x in chosen]
            yield float(score[dense[0]]), {"kind": kind, "q": query, "p": [pool[i] for i in chosen],
                                           "t": [round(float(score[i]), 4) for i in chosen]}


def held_out_rank(queries, pool, vectors, query_vectors, bm25, stats, depth=30):
    """Selection set: BM25's best with teacher scores, as at search time."""
    for row, query in enumerate(queries):
        rows, _ = bm25.search(query, depth)
        if len(rows) < depth:
            continue
        score = standardise([v[rows] @ q[row] for v, q in zip(vectors, query_vectors)], stats)
        yield {"kind": "distil", "q": query, "p": [pool[i] for i in rows],
               "t": [round(float(s), 4) for s in score]}


def holds_answer(text, answers):
    low = text.lower()
    return any(a.lower() in low for a in answers)


def crop(text, answers, rng, width=70):
    """At most width words, around an answer when there is one. Short pairs
    are what makes training on a CPU affordable; one group in five stays long
    so that the model has seen long passages too."""
    tokens = text.split()
    if len(tokens) <= width:
        return text
    starts = list(range(0, len(tokens) - width + 1, 5))
    if answers and holds_answer(text, answers):
        windows = (" ".join(tokens[s:s + width]) for s in rng.sample(starts, len(starts)))
        return next((w for w in windows if holds_answer(w, answers)), " ".join(tokens[:width]))
    # Without an answer string nobody knows where it stands: keep the head.
    start = rng.choice(starts) if answers else 0
    return " ".join(tokens[start:start + width])


def label_groups(data, source, limit, rng, size=GROUP):
    """Groups of a labelled source: the positive first, then negatives."""
    records = list(read_jsonl(os.path.join(data, "train", f"{source}.jsonl.gz")))
    rng.shuffle(records)
    pool_file = os.path.join(data, "train", f"passages_{source}.jsonl.gz")
    if os.path.exists(pool_file):
        pool = [passage_text({"text": r["text"]}) for r in read_jsonl(pool_file)]
    else:
        pool = sorted({p for r in records for p in r["positive"]})
    bm25 = BM25(pool)
    for record in records[:limit]:
        positives = record["positive"]
        if not positives or len(record["query"]) < 8:
            continue
        good = set(positives)
        rows, _ = bm25.search(record["query"], 40)
        answers = [a for a in record.get("answers") or [] if len(a) > 1]
        mined = [pool[i] for i in rows if pool[i] not in good and not holds_answer(pool[i], answers)]
        judged = [p for p in record["negative"] if p not in good]
        rng.shuffle(judged)
        if judged:
            negatives = judged[:size // 2] + [p for p in mined if p not in judged][:2]
        else:
            # With no answer string to reject by, skip the top: it is often right.
            start = 0 if answers else 3
            head = mined[start:start + 12]
            negatives = rng.sample(head, min(len(head), size - 3)) + mined[20:22]
        while len(negatives) < size - 1:
            p = rng.choice(pool)
            if p not in good and p not in negatives and not holds_answer(p, answers):
                negatives.append(p)
        passages = [rng.choice(positives)] + negatives[:size - 1]
        if rng.random() < 0.8:
            passages = [crop(p, answers, rng) for p in passages]
        yield {"kind": "label", "source": source, "q": record["query"], "p": passages,
               "y": [1] + [0] * (size - 1)}


def scifact_groups(data, rng, size=GROUP):
    """SciFact's training claims (its test claims are an evaluation set)."""
    folder = os.path.join(data, "scifact")
    ids, texts = read_corpus(os.path.join(folder, "corpus.jsonl"))
    at = {d: i for i, d in enumerate(ids)}
    queries, bm25 = read_queries(os.path.join(folder, "queries.jsonl")), BM25(texts)
    for query, docs in read_qrels(os.path.join(folder, "qrels", "train.tsv")).items():
        good = [at[d] for d, g in docs.items() if g > 0 and d in at]
        rows = [int(i) for i in bm25.search(queries[query], 30)[0] if i not in good]
        if not good or len(rows) < size:
            continue
        chosen = [rng.choice(good)] + rng.sample(rows[:20], size - 2) + [rng.randrange(len(texts))]
        if chosen[-1] not in good:
            yield {"kind": "label", "source": "scifact_train", "q": queries[query],
                   "p": [texts[i] for i in chosen], "y": [1] + [0] * (size - 1)}


def trecqa_groups(data, rng, size=GROUP):
    """TrecQA's training questions: judged answer sentences."""
    folder = os.path.join(data, "trecqa_wang")
    texts = dict(zip(*read_corpus(os.path.join(folder, "corpus.jsonl"))))
    queries = read_queries(os.path.join(folder, "queries.jsonl"))
    for query, docs in read_qrels(os.path.join(folder, "qrels", "train.tsv")).items():
        good = sorted(d for d, g in docs.items() if g > 0)
        bad = sorted(d for d, g in docs.items() if g == 0)
        if query in queries and good and len(bad) >= size - 1:
            for one in rng.sample(good, min(3, len(good))):
                chosen = [one] + rng.sample(bad, size - 1)
                yield {"kind": "label", "source": "trecqa_train", "q": queries[query],
                       "p": [texts[d] for d in chosen], "y": [1] + [0] * (size - 1)}


def teacher_stats(vectors, query_vectors, bm25, queries, rng):
    """Mean and deviation of each teacher's cosine over BM25 candidates."""
    seen = [[] for _ in vectors]
    for row in rng.sample(range(len(queries)), min(400, len(queries))):
        rows, _ = bm25.search(queries[row], 50)
        for k, (v, q) in enumerate(zip(vectors, query_vectors)):
            seen[k].append(v[rows] @ q[row])
    return [(float(np.concatenate(s).mean()), float(np.concatenate(s).std())) for s in seen]


def mine_distil(args, rng, log):
    _, pool = read_corpus(os.path.join(args.data, "msmarco_dl19", "corpus.jsonl"))
    with open(os.path.join(args.data, "train_queries", "queries.tsv"), encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    web = sorted({r[0] for r in rows if r[1] in WEB and 8 <= len(r[0]) <= 120})
    rng.shuffle(web)
    web = web[:args.embed]
    bm25 = BM25(pool)
    idf = {w: float(bm25.idf[t]) for w, t in bm25.vocab.items()}
    pseudo = [pseudo_query(pool[i], idf, rng) for i in rng.sample(range(len(pool)), args.pseudo)]
    pseudo = sorted({p for p in pseudo if p})
    rng.shuffle(pseudo)
    log(f"{len(web)} web queries, {len(pseudo)} pseudo-queries, {len(pool)} passages")
    vectors, web_vectors, pseudo_vectors = [], [], []
    for name in TEACHERS:
        def embed(texts, what, query, name=name):
            cache = os.path.join(args.out, "embeddings", name, what + ".npy")
            return embed_cached(name, os.path.join(args.models, name), texts, cache, query, log,
                                args.threads).astype(np.float32)
        vectors.append(embed(pool, "msmarco", False))
        web_vectors.append(embed(web, "web", True))
        pseudo_vectors.append(embed(pseudo, "pseudo", True))
    stats = teacher_stats(vectors, web_vectors, bm25, web, rng)
    log(f"teacher cosines (mean, deviation): {stats}")
    # The selection queries are the first of the shuffled list: no group uses them.
    held = list(held_out_rank(web[:140], pool, vectors, web_vectors, bm25, stats))[:args.held]
    groups = list(distil_groups(web[140:], "distil", pool, vectors, [v[140:] for v in web_vectors],
                                bm25, stats, rng, 1))
    groups.sort(key=lambda g: -g[0])
    keep = [g for _, g in groups[:args.web]]
    pseudo_groups = [g for _, g in distil_groups(pseudo, "pseudo", pool, vectors, pseudo_vectors,
                                                 bm25, stats, rng, 1)]
    return keep, pseudo_groups, held


def mine_labels(args, rng, log):
    groups, held, blend = [], [], []
    for source, limit in LABELLED.items():
        # A stream of its own per source: adding one leaves the others as they were.
        own = list(label_groups(args.data, source, limit, random.Random(f"{args.seed}-{source}")))
        # Held back: 40 groups of every source to fit the blend on, and from the
        # three largest 50 to select checkpoints by.
        wanted = args.held // 2 if source in ("qed_nq", "nq_open_oracle_dev", "squad_v1_train") else 0
        apart = own[:wanted + 40]
        held += apart[:wanted]
        blend += apart[wanted:]
        questions = {g["q"] for g in apart}
        own = [g for g in own[wanted + 40:] if g["q"] not in questions]
        groups += own
        log(f"labelled: {source}: {len(own)} groups")
    for source, make in (("scifact", scifact_groups), ("trecqa", trecqa_groups)):
        own = list(make(args.data, random.Random(f"{args.seed}-{source}")))
        log(f"labelled: {source}: {len(own)} groups")
        groups += own
    return groups, held, blend


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--data", default=os.environ.get("WN_SHARED", "../shared") + "/data")
    p.add_argument("--models", default=os.path.expanduser("~/.cache/winnow/models"))
    p.add_argument("--out", default="training/runs")
    p.add_argument("--embed", type=int, default=12000, help="web queries embedded at most")
    p.add_argument("--web", type=int, default=11000, help="web queries kept, strongest first")
    p.add_argument("--pseudo", type=int, default=5000, help="passages a pseudo-query is cut from")
    p.add_argument("--held", type=int, default=100, help="held-out queries for selection")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=8)
    args = p.parse_args()

    def log(text):
        print(text, flush=True)

    os.makedirs(args.out, exist_ok=True)
    def write(name, rows):
        path = os.path.join(args.out, name + ".jsonl")
        with open(path + ".part", "w", encoding="utf-8") as f:
            for row in rows:
                f.write(json.dumps(row, ensure_ascii=False) + "\n")
        os.replace(path + ".part", path)
        log(f"{path}: {len(rows)} groups")

    # The labelled part needs no teacher: a run may start on it while the
    # teachers still embed (run.sh does not, but a slow machine is glad of it).
    labels, held_label, blend = mine_labels(args, random.Random(args.seed), log)
    write("labels", labels)
    write("held-labels", held_label)
    write("blend", blend)
    web, pseudo, held_distil = mine_distil(args, random.Random(args.seed + 1), log)
    groups = web + pseudo + labels
    random.Random(args.seed).shuffle(groups)
    write("held", held_distil + held_label)
    write("groups", groups)


if __name__ == "__main__":
    main()
