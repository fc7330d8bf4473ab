#!/usr/bin/env python3
"""sentences.py -- real texts for the dense scan: every sentence and question of the training data, once, as a BEIR corpus.

    bench/sentences.py [--shared ../shared] > build/sentences.jsonl
    build/winnow index build/sentences.jsonl -o build/sentences.wnindex -m all-MiniLM-L6-v2 --precision int8
    build/bench/bench_scan --rows 0 --index build/sentences.wnindex --repeat 15

bench_scan then compares the scan over codes with the f32 scan on real embeddings alone. Python's standard library only.
"""
import argparse
import gzip
import json
import pathlib
import re
import sys

import bench_common as common


def texts(path):
    for line in gzip.open(path, "rt", encoding="utf-8"):
        r = json.loads(line)
        yield from (r[k] for k in ("text", "query") if k in r)
        yield from r.get("positive", []) + r.get("negative", [])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shared", type=pathlib.Path, default=common.SHARED)
    folder = p.parse_args().shared / "data" / "train"
    try:
        common.present(folder, "collection")
    except common.Skip as e:
        sys.exit(f"SKIPPED sentences: {e}")
    seen = set()
    for path in sorted(folder.glob("*.jsonl.gz")):
        for text in texts(path):
            for sentence in re.split(r"(?<=[.!?])\s+", text):
                if 4 <= len(sentence.split()) <= 60 and sentence not in seen:
                    seen.add(sentence)
                    print(json.dumps({"_id": str(len(seen)), "text": sentence}, ensure_ascii=False))
    print(f"{len(seen)} sentences", file=sys.stderr)


if __name__ == "__main__":
    main()
