#!/usr/bin/env python3
"""tables.py -- the tables of README.md, docs/PERFORMANCE.md and docs/PYTHON.md from bench/results, measuring nothing.

    bench/tables.py            prints them            (tools/bench.sh tables)
    bench/tables.py --write    puts them into these documents, between <!-- bench NAME --> and <!-- end bench -->

So after `make bench` on a quiet machine one command brings the documents up to date. A table whose CSV is absent stays
as it is. Python's standard library only.
"""
import csv
import re
import sys

import bench_common as common
import bench_targets as targets

DOCUMENTS = ("README.md", "docs/PERFORMANCE.md", "docs/PYTHON.md")
NAMES = {"winnow": "**winnow**"}


def rows_of(name):
    path = common.RESULTS / f"{name}.csv"
    if not path.exists():
        return []
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def table(head, rows):
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(map(str, r))} |" for r in rows)])


def stamp(rows, command, what=""):
    r = rows[0]
    busy = " (busy with other work: believe processor times)" if float(r["load"]) > 3 else ""
    return f"`{command}`, commit {r['commit']}, {r['cpu']}, load average {r['load']} when it began{busy}{what}."


def whole(text):
    return f"{float(text):,.0f}"


def ratio(text):
    return f"{float(text):.2f}" if text else ""


def peer_name(r):
    return NAMES.get(r["peer"], r["peer"])


def speed(rows):
    """README: every peer of reranking in one table, by precision."""
    head = ["", "precision", "ms a query", "processor ms", "tokens/s", "winnow in that precision takes", "by processor time"]
    body = [[peer_name(r), r["precision"], whole(r["wall_ms"]), whole(r["cpu_ms"]), whole(r["tokens_per_s"]),
             f"{ratio(r['ratio'])} of it" if r["ratio"] else "", ratio(r["cpu_ratio"])] for r in rows]
    faster = [f"{t.value:.1f} times faster in {t.what.split()[2].rstrip(',')} (by {t.note} times)" for t in targets.rerank(rows) if not t.most]
    auto = "; `--precision auto` takes bf16" if any(r["precision"] == "bf16" for r in rows) else ""
    said = f"\n\nAgainst sentence-transformers as its users call it winnow is {', '.join(faster)}{auto}." if faster else ""
    return table(head, body) + said + "\n\n" + stamp(rows, "make bench", f"; medians of {rows[0]['rounds']} rounds of {rows[0]['queries']} queries")


def settings(rows):
    return table(["peer", "precision", "its best setting"], [[r["peer"], r["precision"], r["setting"]] for r in rows if r["setting"]])


def promises():
    """Every target of every part that has results."""
    body, where = [], []
    for name, of in targets.PARTS.items():
        rows = rows_of(name)
        where += [f"{name} {rows[0]['commit']} at {rows[0]['load']}"] if rows else []
        for t in of(rows):
            body.append([t.what, f"{'≤' if t.most else '≥'} {t.bound:g}", f"{t.value:.3g}", "yes" if targets.met(t) else "**no**", t.note])
    said = f"\n\nParts with their commits and the load average when they began: {'; '.join(where)}."
    return table(["", "target", "measured", "met", ""], body) + said if body else ""


def floor(rows):
    body = [[r["precision"], whole(r["library_ms"]), whole(r["floor_ms"]), ratio(r["ratio"]), ratio(r["cpu_ratio"]), ratio(r["ratio_less_last"]), r["floor_gflops"],
             whole(r["packed_mib"]), whole(r["words_mib"]), whole(r["peak_mib"])] for r in rows]
    head = ["", "winnow, ms", "products alone, ms", "ratio", "by processor time", "to all but the last layer", "Gflop/s of the products", "packed weights, MiB", "word table, MiB", "peak, MiB"]
    return table(head, body) + "\n\n" + stamp(rows, "tools/bench.sh floor", f"; medians of {rows[0]['rounds']} rounds, {rows[0]['layers']} layers, "
                                              f"{rows[0]['pairs']} pairs, {whole(rows[0]['tokens'])} tokens")


def embed(rows):
    body = [[peer_name(r), r["precision"], whole(r["tokens_per_s"]), whole(r["wall_ms"]), whole(r["cpu_ms"]), ratio(r["speedup"]),
             ratio(r["cpu_speedup"]), r["recall_100"]] for r in rows]
    head = ["", "precision", "tokens/s", "ms", "processor ms", "times as fast as ONNX Runtime", "by processor time", "recall@100"]
    return table(head, body) + "\n\n" + stamp(rows, "tools/bench.sh embed", f"; medians of {rows[0]['rounds']} rounds over {rows[0]['documents']} documents, "
                                              f"{whole(rows[0]['tokens'])} tokens")


def latency(rows):
    body = [[r["what"], r["tokens"], peer_name(r), r["precision"], r["threads"], f"{float(r['wall_ms']):.1f}", ratio(r["ratio"])] for r in rows]
    head = ["", "tokens", "", "precision", "threads", "ms", "of ONNX Runtime's"]
    return table(head, body) + "\n\n" + stamp(rows, "tools/bench.sh latency", f"; medians of {rows[0]['rounds']} rounds")


def python(rows):
    body = [[f"`{name}`{comma}{rest}", r["difference"], f"{float(r['wall_ms']):.1f}", f"{float(r['theirs_ms']):.1f}", ratio(r["faster"]), ratio(r["cpu_faster"])]
            for r in rows for name, comma, rest in [r["call"].partition(", ")]]
    head = ["", "largest difference", "winnow, ms", "sentence-transformers, ms", "times as fast", "by processor time"]
    return table(head, body) + "\n\n" + stamp(rows, "tools/bench.sh python", f"; medians of {rows[0]['rounds']} rounds")


def tokenizer(rows):
    pairs = list(zip(rows[::2], rows[1::2]))
    body = [[f"{w['case']} ({w['collection']})", w["mb_per_s"], h["mb_per_s"], w["speedup"], f"{w['open_ms']} ms", f"{h['open_ms']} ms"] for w, h in pairs]
    head = ["MB/s on one core", "winnow", "Hugging Face tokenizers", "times as fast", "opening, warm", "theirs"]
    return table(head, body) + "\n\n" + stamp(rows, "tools/bench.sh tokenizer", f"; medians of {rows[0]['rounds']} rounds, identical ids")


def scan(rows):
    body = [[r["what"], r["queries"], f"{float(r['median_ms_a_query']):.2f}", f"{float(r['processor_ms_a_query']):.2f}", f"{float(r['f32_gb_per_s']):.1f}"] for r in rows]
    head = ["", "queries at once", "ms a query", "processor ms", "GB/s of f32"]
    return table(head, body) + "\n\n" + stamp(rows, "tools/bench.sh scan", f"; {whole(rows[0]['rows'])} vectors of {rows[0]['dim']}, {rows[0]['k']} nearest, "
                                              f"{rows[0]['threads']} threads, medians of {rows[0]['rounds']} rounds")


def cold_start(rows):
    body = [[r["kind"], r["median_ms"], r["least_ms"], r["processor_ms"]] for r in rows]
    return table(["from a cold process", "ms", "least", "processor ms"], body) + "\n\n" + stamp(rows, "tools/bench.sh cold_start", f"; medians of {rows[0]['runs']} runs")


def quality(rows):
    body = [[r["model"], r["precision"], f"{float(r['ndcg_cut_10']):.4f}", f"{float(r['change']):+.4f}" if r["precision"] != "f32" else "", r["tau"],
             r["same_top10"], f"{100 * float(r['error']):.1f} %" if r["precision"] != "f32" else ""] for r in rows]
    head = ["model", "precision", "nDCG@10", "change", "Kendall's tau", "same ten best", "error of a score"]
    return table(head, body) + "\n\n" + stamp(rows, "tools/bench.sh quality", f"; {rows[0]['queries']} queries, 100 candidates each")


# A block of the documents: whose results it shows, and how. promises() reads all parts' own.
BLOCKS = {"speed": ("rerank", speed), "settings": ("rerank", settings), "floor": ("floor", floor), "embed": ("embed", embed),
          "tokenizer": ("tokenizer", tokenizer), "scan": ("scan", scan), "cold_start": ("cold_start", cold_start), "quality": ("quality", quality),
          "latency": ("latency", latency), "python": ("python", python), "speed_avx2": ("rerank-avx2", speed), "embed_avx2": ("embed-avx2", embed),
          "latency_avx2": ("latency-avx2", latency), "quality_avx2": ("quality-avx2", quality)}


def blocks_made():
    made = {"targets": promises()}
    for block, (part, make) in BLOCKS.items():
        rows = rows_of(part)
        made[block] = make(rows) if rows else ""
    return made


def write(blocks):
    for name in DOCUMENTS:
        path = common.ROOT / name
        text = path.read_text(encoding="utf-8")
        for block, body in blocks.items():
            if body:
                text = re.sub(rf"(<!-- bench {block} -->\n).*?(<!-- end bench -->)", lambda m: f"{m[1]}{body}\n{m[2]}", text, flags=re.S)
        path.write_text(text, encoding="utf-8")


def main():
    blocks = blocks_made()
    if sys.argv[1:] == ["--write"]:
        write(blocks)
        return 0
    for name, body in blocks.items():
        print(f"<!-- bench {name} -->\n{body or '(no results)'}\n<!-- end bench -->\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
