"""bench_targets.py -- what was promised, computed from a part's rows: once for its output, once for the documents' tables.

Each function takes the rows of one CSV (numbers or their text) and gives Target entries; where a row is missing there is
no entry. Ratios are of wall times; the note says what processor time says, which a busy machine disturbs less.
"""
import collections

# most: the value is to be at most `bound`; else at least.
Target = collections.namedtuple("Target", "what value bound most note")
DEFAULT_USE = "sentence-transformers, default use"


def met(t):
    return t.value <= t.bound if t.most else t.value >= t.bound


def line(t):
    bound = f"{'at most' if t.most else 'at least'} {t.bound:g}"
    return f"{'met   ' if met(t) else 'MISSED'} {t.what}: {t.value:.4g} (target: {bound}{'; ' + t.note if t.note else ''})"


def show(targets):
    for t in targets:
        print(line(t), flush=True)


def number(row, key):
    return float(row[key])


def rerank(rows):
    for precision, bound, only in (("f32", 0.75, ""), ("bf16", 0.65, "OpenVINO"), ("int8", 0.55, "ONNX Runtime"), ("int8", 0.55, "OpenVINO")):
        peers = [r for r in rows if r["precision"] == precision and r["ratio"] not in ("", None) and only in r["peer"]]
        if peers:
            best = min(peers, key=lambda r: number(r, "wall_ms"))
            whose = f"{best['peer'].split(',')[0]}'s" + ("" if only else f", the best {precision} peer")
            yield Target(f"reranking in {precision}, time over {whose}", number(best, "ratio"), bound, True, f"processor time {number(best, 'cpu_ratio'):.2f}")
    # In the precision that `auto` takes, and in the fastest.
    mine = [r for r in rows if r["peer"] == "winnow" and r["precision"] != "f32"]
    slow = next((r for r in rows if r["peer"] == DEFAULT_USE), None)
    for r in mine if slow else ():
        yield Target(f"reranking in {r['precision']}, times faster than sentence-transformers as its users call it",
                     number(slow, "wall_ms") / number(r, "wall_ms"), 7, False, f"processor time {number(slow, 'cpu_ms') / number(r, 'cpu_ms'):.1f}")


def floor(rows):
    for r in rows:
        # Few layers: the saved last one would be too large a share of all.
        short = int(r["layers"]) < 24
        yield Target(f"XLM-R large in {r['precision']}, time over its matrix products alone" + (f", {int(r['layers']) - 1} of {r['layers']} layers" if short else ""),
                     number(r, "ratio_less_last" if short else "ratio"), 1.3, True,
                     f"processor time {number(r, 'cpu_ratio') * (int(r['layers']) / (int(r['layers']) - 1) if short else 1):.2f}"
                     + ("" if short else f"; {number(r, 'ratio_less_last'):.2f} of all but the last layer's"))
    for r in rows:
        yield Target(f"XLM-R large in {r['precision']}, peak memory over weights", number(r, "peak_over_weights"), 1.15, True,
                     f"{number(r, 'peak_over_packed'):.2f} of the packed ones alone, without the word table")


def embed(rows):
    slow = next((r for r in rows if r["peer"] == "ONNX Runtime"), None)
    ours = [r for r in rows if r["peer"] == "winnow"]
    for r in ours:
        if r["recall_100"] not in ("", None) and r["precision"] != "f32":
            yield Target(f"embedding in {r['precision']}, recall@100 against f32", number(r, "recall_100"), 0.99, False, "")
    kept = [r for r in ours if r["recall_100"] in ("", None) or number(r, "recall_100") >= 0.99]
    for r in sorted(kept, key=lambda r: -number(r, "speedup"))[:1] if slow else ():
        yield Target(f"embedding in {r['precision']}, tokens a second over ONNX Runtime's in f32", number(r, "speedup"), 2, False,
                     f"processor time {number(r, 'cpu_speedup'):.2f}")


def tokenizer(rows):
    for r in rows:
        if r["who"] == "winnow":
            bound = 3 if r["case"].startswith("WordPiece") else 2
            yield Target(f"tokenizing, {r['case']}, times faster than Hugging Face tokenizers", number(r, "speedup"), bound, False, "")


def scan(rows):
    by = {r["what"]: r for r in rows}

    def over(a, b, key="median_ms_a_query"):
        return number(by[a], key) / number(by[b], key)
    for many in ("one query", "many queries"):
        ours, theirs = f"codes, {many}", f"FAISS flat, {many}"
        if ours in by and theirs in by:
            yield Target(f"dense search, {many}, times faster than FAISS", over(theirs, ours), 4, False,
                         f"processor time {over(theirs, ours, 'processor_ms_a_query'):.1f}")
    if "plain read of the f32 rows" in by:
        yield Target("dense search in f32, time over a plain read of the same bytes", over("f32, one query", "plain read of the f32 rows"), 1.1, True, "")


def cold_start(rows):
    for r in rows:
        if r["kind"] == "dense":
            yield Target("a search without reranking from a cold process, ms", number(r, "median_ms"), 100, True, f"processor time {r['processor_ms']}")


def quality(rows):
    for r in rows:
        if r["precision"] != "f32":
            yield Target(f"nDCG@10 on DL19, {r['model']} in {r['precision']}, change", abs(number(r, "change")),
                         {"bf16": 0.002, "int8": 0.005}[r["precision"]], True, f"{number(r, 'change'):+.4f}; Kendall's tau {number(r, 'tau'):.3f}")


PARTS = {"rerank": rerank, "floor": floor, "embed": embed, "tokenizer": tokenizer, "scan": scan, "cold_start": cold_start, "quality": quality}
