#!/usr/bin/env python3
"""tokenizer_peers.py -- tokenizers on one core, winnow beside Hugging Face's: a part of `make bench`.

    tools/bench.sh tokenizer [--rounds 7]

Every text of a collection, one thread, ids without template. Hugging Face tokenizers runs the better of its two
ways, one text at a time or encode_batch_fast of all (without threads). Everyone in turn; both must give the same
ids, or the part fails. Times are processor times of the thread, from which MB/s of UTF-8 text.
Targets: WordPiece at least 3 times as fast, Unigram at least twice. Results: bench/results/tokenizer.csv.
"""
import argparse
import json
import os
import sys
import time

import bench_common as common
import bench_targets as targets

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
CASES = [("WordPiece, English", "bert-uncased", "cranfield"), ("WordPiece, English, long", "bert-uncased", "scifact"),
         ("WordPiece, German", "mbert-uncased", "xquad_de"),
         ("Unigram, English", "xlm-roberta", "xquad_en"), ("Unigram, Chinese", "xlm-roberta", "xquad_zh"),
         ("Unigram, Arabic", "xlm-roberta", "xquad_ar")]


class HuggingFace:
    def __init__(self, path, texts):
        from tokenizers import Tokenizer
        begin = time.process_time()
        self.tokenizer, self.texts = Tokenizer.from_file(str(path)), texts
        self.opened_ms = (time.process_time() - begin) * 1e3
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        ways = {"one by one": self.one_by_one, "encode_batch_fast": self.batch}
        times = {name: min(common.timed(f)[1] for _ in range(2)) for name, f in ways.items()}
        self.way = min(times, key=times.get)
        self.run = ways[self.way]

    def one_by_one(self):
        return [self.tokenizer.encode(x, add_special_tokens=False).ids for x in self.texts]

    def batch(self):
        return [e.ids for e in self.tokenizer.encode_batch_fast(self.texts, add_special_tokens=False)]

    def checksum(self):
        total, place = 0, 0
        for ids in self.run():
            for i in ids:
                place += 1
                total = (total + i * place) % 2147483647
        return place, total


def measure(name, tokenizer, collection, rounds):
    corpus = common.present(common.SHARED / "data" / collection / "corpus.jsonl", "collection")
    path = common.present(common.SHARED / "tokenizers" / tokenizer / "tokenizer.json", "tokenizer")
    with open(corpus, encoding="utf-8") as f:
        texts = [json.loads(line)["text"] for line in f]
    size = sum(len(t.encode("utf-8")) for t in texts)
    try:
        peer = HuggingFace(path, texts)
    except ImportError as e:
        raise common.Skip(f"{e}: peers are not installed (tools/venv.sh bench)") from e
    ours = common.Worker([common.program("bench_tokenizer"), path, corpus, "--serve"])
    _, _, tokens, checksum, opened = ours.ask("once")
    if peer.checksum() != (tokens, checksum):
        sys.exit(f"{name}: other ids than Hugging Face tokenizers gives")
    times = common.take_turns({"winnow": lambda _: ours.ask("again"), "Hugging Face tokenizers": lambda _: common.timed(peer.run)}, rounds)
    ours.close()
    rows = []
    for who, t in times.items():
        m = common.medians(t)
        rows.append({"case": name, "tokenizer": tokenizer, "collection": collection, "who": who, "way": "" if who == "winnow" else peer.way,
                     "rounds": rounds, "bytes": size, "tokens": int(tokens), "cpu_ms": m["cpu_ms"], "mb_per_s": round(size / m["cpu_ms"] / 1e3, 1),
                     "open_ms": round(opened if who == "winnow" else peer.opened_ms, 1), "speedup": ""})
    rows[0]["speedup"] = round(rows[1]["cpu_ms"] / rows[0]["cpu_ms"], 2)
    print(f"{name}: {rows[0]['mb_per_s']} MB/s beside {rows[1]['mb_per_s']}")
    targets.show(targets.tokenizer(rows))
    return rows


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=7)
    a, rows, missing = p.parse_args(), [], []
    for case in CASES:
        try:
            rows += measure(*case, a.rounds)
        except common.Skip as e:
            missing.append(f"{case[0]}: {e}")
    if not rows:
        raise common.Skip("; ".join(missing))
    for reason in missing:
        print(f"SKIPPED {reason}")
    return rows


if __name__ == "__main__":
    sys.exit(common.part("tokenizer", main))
