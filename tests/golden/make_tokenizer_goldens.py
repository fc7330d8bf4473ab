#!/usr/bin/env python3
"""Writes tests/golden/tokenizer/: what Hugging Face `tokenizers` answers.

  strings.jsonl        hostile strings and our own sentences. "hex" is the text (repeated "repeat"
                       times); per tokenizer the whole ids, or the hash of long ones. Bytes that are
                       not UTF-8 are decoded with errors="replace" first: that is the defined result.
  hashes-<name>.bin    8 bytes for each block of BLOCK texts of the collections in shared/data, in the
                       manifest's order, then 8 for each sampled pair. No text is stored: the
                       collections are not ours to copy.
  MANIFEST.json        versions, hashes of every input, counts.

A hash is the first 8 bytes of XXH3-128 over: per text int32 count, int32 ids; per pair the same and
uint8 type ids for each max_length in LENGTHS x strategy, or int32 -1 where the reference raises.

    python tests/golden/make_tokenizer_goldens.py [shared]     needs tokenizers, xxhash
"""
import json
import os
import pathlib
import random
import struct
import sys

import tokenizers
import xxhash
from make_small_xlmr import SENTENCES

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SHARED = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                      os.environ.get("WN_SHARED", ROOT.parent / "shared"))
OUT = HERE / "tokenizer"
COLLECTIONS = ["xquad_en", "xquad_de", "xquad_es", "xquad_zh", "xquad_ar", "scifact", "cranfield",
               "msmarco_dl19", "squad2_dev", "trecqa_wang"]
COMMITTED = {"reranker-minilm-l6-v0": ROOT / "models/reranker-minilm-l6-v0/tokenizer.json",
             "small-xlmr": HERE / "tokenizers/small-xlmr/tokenizer.json"}
IN_SHARED = {n: SHARED / "tokenizers" / n / "tokenizer.json"
             for n in ("bert-uncased", "mbert-uncased", "xlm-roberta")}
BLOCK, PAIRS, LENGTHS = 8, 24, (512, 64, 8)
STRATEGIES = ("longest_first", "only_first", "only_second")
LONG = 400  # tokens kept whole in strings.jsonl


def short_hash(data):
    return xxhash.xxh3_128(data).digest()[:8]


def file_hash(path):
    return xxhash.xxh3_128(path.read_bytes()).hexdigest()


def load(path):
    t = tokenizers.Tokenizer.from_file(str(path))
    t.no_padding()
    t.no_truncation()
    return t


def ids_bytes(ids):
    return struct.pack("<i%di" % len(ids), len(ids), *ids)


def hostile():
    """(bytes, repeat)"""
    own = [
        "", " ", "\n", "a", "Hello, World!", "tab\tnew\nline\r\nend\r", "don't can't it's 3.14 1,000",
        "caf\u00e9 cafe\u0301 na\u00efve r\u00e9sum\u00e9 \u00c5ngstr\u00f6m \u212b \u1e9e stra\u00dfe \u0130stanbul \u0131 "
        "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2 \u01c5 \ufb01\ufb02",
        "\x00a\x00b\x00", "\x01\x02\x1f\x7f\x80\x85\x9f", "\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000x",
        "\u200b\u200c\u200d\u2060\ufeff zero\u200bwidth\u00adsoft \u061c\u200e\u200f\u202a\u202e\u2066bidi\u2069",
        "\ufffd\ufffc\ufff9 \ue000\uf8ff \U000f0000", "a\u0301\u0323\u0345\u034f\u0300 \u0315\u0300\u05ae\u059a",
        "Z" + "\u0300\u0301\u0302\u0303" * 30, "\u1d165\U0001d165\U0001d16d\u302e\u302f \u0e33\u0eb3",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f926\U0001f3fc\u200d\u2642\ufe0f "
        "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7\U0001f1ea \u2764\ufe0f \u00a9\ufe0f\u20e3 1\ufe0f\u20e3 \U0001f3f4\U000e0067\U000e0062\U000e007f",
        "\ud55c\uad6d\uc5b4 \ub300\ud55c\ubbfc\uad6d \u1112\u1161\u11ab\u1100\u116e\u11a8 \u3131\u314f \uff9e\uffa1",
        "\uff26\uff55\uff4c\uff4c\uff0d\uff57\uff49\uff44\uff54\uff48 \uff21\u0301\uff21\uff1a\uff11\uff12 \uff8a\uff9f\uff76\uff9e \u3231\u33a5\u2460\u00bd\u2167",
        "\u0645\u0631\u062d\u0628\u0627 \u0628\u0650\u0633\u0652\u0645\u0650 \ufdfa \ufef5 \u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd \u0627\u0644\u0640\u0640\u0640\u062a",
        "\u6f22\u5b57\u3068\u304b\u306a\u30ab\u30bf\u30ab\u30ca\u6df7\u6c42text\u6587\u5b57\uf900\u2f00 \U00020000\U0002a6de\U0002b740",
        "\u0915\u094d\u0937 \u0928\u092e\u0938\u094d\u0924\u0947 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0b95\u0bca \u1019\u103c\u1014\u103a\u1019\u102c",
        "[CLS] [SEP][MASK] [UNK][PAD]x [cls] [ SEP ]", "<s></s> <mask>  <unk>x<pad> a<mask>b \n<mask>",
        "\uff1cs\uff1e \uff1cmask\uff1e", "## ##ing hash#tag ##", "--------==========________........,,,,,,,,",
        "ooooooooooooooooo hahahahahahaha aaaaaaaaaa 000000000000",
        "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "\u2260 \u037e \u1fef \u00b4 \u2126 \u20ac \u00a3 \u2116 \u00a7\u00b6\u2020",
        "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
        "x" * 99 + " " + "x" * 100 + " " + "x" * 101 + " " + "\u00e9" * 100 + " " + "\u00e9" * 101,
        "   lots   of    space   ", "\u2581\u2581a \u2581b", "\t\t\n\n \u3000 \u3000", "a\u2581b\u2581\u2581c",
        "\u0600\u0601a \U000110bdb \u0d4ex", "\r\n\r\n\n\r", "e\u0301\r\n\u0301e", "\u1100\u1161\u11a8\u0301",
    ]
    raw = [b"\xff", b"a\xffb", b"\xe2\x82", b"\xe2\x28\xa1", b"\xed\xa0\x80\xed\xb0\x80", b"\xf0\x9f\x98",
           b"\xc0\xaf", b"\xf8\x88\x80\x80\x80", b"abc\x80\x80def\xe2\x82\xacghi\xf4\x90\x80\x80",
           b"\xe4\xb8\xad\xe6\x96 \xe6\x96\x87"]
    out = [(t.encode("utf-8"), 1) for t in own + SENTENCES] + [(r, 1) for r in raw]
    out += [(t.encode("utf-8"), n) for t, n in (
        ("a", 1 << 20), ("\u6f22", 350000), ("\u0301", 200000), ("ab\u00e9", 100000), ("x ", 20000),
        ("\U0001f600", 50000), (" ", 100000), ("[SEP]", 20000), ("e\u0301", 100000), ("!", 50000),
        ("\u0915\u094d", 50000), ("\U0001f468\u200d", 40000))]
    return out + [(s.encode("utf-8"), 1) for s in random_strings()]


def random_strings(count=500):
    rnd = random.Random(20240611)
    pool = list(map(chr, range(32, 127))) + [
        "[SEP]", "[MASK]", "<s>", "<mask>", " ", "  ", "\u3000", "\u200d", "\u0301", "\u0323", "\u05b0", "\u034f", "\u302e",
        "\u0130", "\u00df", "\u03a3", "\u2460", "\ufb01", "\ud55c", "\u1100", "\u1161", "\u11a8", "\u0915", "\u094d", "\u0937", "\u263a", "\u00a9",
        "\ufe0f", "\U0001f1e9", "\U0001f1ea", "\U0001f468", "\u200b", "\ufffd", "\u212b", "\uff41", "\u6f22", "\ufdfa",
        "\u0600", "\U000110bd", "\u0d4e", "\r\n", "\u2028", "\x85", "\x00", "\u0345", "\u0e33", "\uff9e", "\uff76", "the ", "ing"]
    for _ in range(count):
        yield "".join(rnd.choice(pool) if rnd.random() < 0.8 else
                      chr(rnd.choice((rnd.randrange(0x80, 0x3400), rnd.randrange(0xA000, 0xD7A4),
                                      rnd.randrange(0xF900, 0x1F800))))
                      for _ in range(rnd.choice((2, 5, 12, 30))))


def write_strings(toks):
    with open(OUT / "strings.jsonl", "w") as f:
        n = 0
        for data, repeat in hostile():
            text = (data * repeat).decode("utf-8", "replace")
            row = {"hex": data.hex(), "repeat": repeat}
            for name, t in toks.items():
                ids = t.encode(text).ids
                whole = name in COMMITTED and len(ids) <= LONG
                row[name] = ids if whole else short_hash(ids_bytes(ids)).hex()
            f.write(json.dumps(row, separators=(",", ":")) + "\n")
            n += 1
    return n


def texts(name, part):
    for line in open(SHARED / "data" / name / (part + ".jsonl"), encoding="utf-8"):
        row = json.loads(line)
        title = row.get("title") or ""
        yield title + "\n" + row["text"] if title else row["text"]


def pair_indices(queries, docs):
    """The rule test_tokenizer_golden.c repeats: every other pair begins with a passage."""
    for i in range(PAIRS):
        yield i % 2 == 1, (i * 7919 + 13) % (docs if i % 2 else queries), (i * 104729 + 7) % docs


def pair_hash(t, a, b):
    # Slow: the reference also builds every combination of the parts it cut off.
    out = b""
    for length in LENGTHS:
        for strategy in STRATEGIES:
            t.enable_truncation(length, strategy=strategy)
            try:
                e = t.encode(a, b)
                out += ids_bytes(e.ids) + bytes(e.type_ids)
            except Exception:
                out += struct.pack("<i", -1)
    t.no_truncation()
    return short_hash(out)


def collection_hashes(t, name):
    blocks, pairs, held = [], [], {}
    for part in ("corpus", "queries"):
        held[part] = list(texts(name, part))
        encoded = []
        for i in range(0, len(held[part]), 1024):  # an Encoding is large
            encoded += [e.ids for e in t.encode_batch_fast(held[part][i:i + 1024])]
        for i in range(0, len(encoded), BLOCK):
            blocks.append(short_hash(b"".join(map(ids_bytes, encoded[i:i + BLOCK]))))
    for passage_first, i, j in pair_indices(len(held["queries"]), len(held["corpus"])):
        first = held["corpus" if passage_first else "queries"][i]
        pairs.append(pair_hash(t, first, held["corpus"][j]))
    return blocks, pairs, {p: len(v) for p, v in held.items()}


def main():
    OUT.mkdir(exist_ok=True)
    toks = {n: load(p) for n, p in {**COMMITTED, **IN_SHARED}.items()}
    manifest = {
        "generator": "tests/golden/make_tokenizer_goldens.py", "tokenizers": tokenizers.__version__,
        "block": BLOCK, "pairs": PAIRS,
        "xxh3": {n: file_hash(p) for n, p in {**COMMITTED, **IN_SHARED}.items()},
        "strings": write_strings(toks), "collections": [],
    }
    data = {n: b"" for n in IN_SHARED}
    for name in COLLECTIONS:
        for tok in IN_SHARED:
            blocks, pairs, counts = collection_hashes(toks[tok], name)
            data[tok] += b"".join(blocks) + b"".join(pairs)
        manifest["collections"].append({
            "name": name, "texts": counts,
            "xxh3": {p: file_hash(SHARED / "data" / name / (p + ".jsonl")) for p in counts}})
        print(name, counts, file=sys.stderr)
    for n, d in data.items():
        (OUT / ("hashes-%s.bin" % n)).write_bytes(d)
    (OUT / "MANIFEST.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main()
