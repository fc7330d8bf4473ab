#!/usr/bin/env python3
"""The line of bench_tokenizer.c for Hugging Face tokenizers, on one core, its better of two ways:
encode one text at a time, or encode_batch_fast of all (without threads).

    bench_tokenizer_hf.py TOKENIZER.JSON FILE.jsonl [REPEATS]
"""
import json
import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer  # noqa: E402  (after the environment)


def main():
    path, corpus = sys.argv[1:3]
    repeats = int(sys.argv[3]) if len(sys.argv) > 3 else 7
    texts = [json.loads(line)["text"] for line in open(corpus, encoding="utf-8")]
    size = sum(len(t.encode("utf-8")) for t in texts)
    begin = time.process_time()
    t = Tokenizer.from_file(path)
    opened = time.process_time() - begin
    t.no_padding()
    t.no_truncation()

    def one_by_one():
        return sum(len(t.encode(x, add_special_tokens=False).ids) for x in texts)

    def batch():
        return sum(len(e.ids) for e in t.encode_batch_fast(texts, add_special_tokens=False))

    best = None
    for way in (one_by_one, batch):
        tokens, times = way(), []
        for _ in range(repeats):
            begin = time.process_time()
            way()
            times.append(time.process_time() - begin)
        times.sort()
        if best is None or times[0] < best[0]:
            best = (times[0], times[len(times) // 2])
    mb = size / 1e6
    print("tokenizers,%s,%s,%d,%d,%d,%.1f,%.1f,%.2f" % (path, corpus, len(texts), size, tokens, mb / best[0],
                                                       mb / best[1], opened * 1e3))


if __name__ == "__main__":
    main()
