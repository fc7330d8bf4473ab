#!/usr/bin/env python3
"""Goldens of the splitter, from langchain-text-splitters.

Run from the repository root:  python tests/golden/make_splitter_goldens.py
Needs langchain-text-splitters, tokenizers and xxhash; `make test` needs none of them.

Writes into tests/golden/splitter/:
  cases.jsonl    written texts with LangChain's chunks in full; "chunks_hash" for long answers
  files.tsv      texts/* and examples/docs/*.md: hash of the file, configuration, number
                 of chunks, hash of the chunks
  fuzz.tsv       one line a random text (line number = seed): hash of the text, number of chunks,
                 hash of the chunks. The test makes the same texts from alphabet.json and
                 the same generator (see Lcg and random_text below; test_splitter.c has the twin).
  manifest.json  versions and hashes of the inputs

"hash" is XXH3-64 of the chunks, each followed by a byte FF. Invalid UTF-8 in a random text is
decoded with errors="replace" before LangChain sees it; the test sanitizes its chunks.
Unit "tokens" is TextSplitter.from_huggingface_tokenizer's rule, len(tokenizer.tokenize(text)),
with the tokenizer of models/reranker-minilm-l6-v0; "xlmr-tokens" the same with a small Unigram one, for
which a space alone is a token.
"""
import glob
import hashlib
import json
import os
from importlib.metadata import version

import xxhash
from langchain_text_splitters import RecursiveCharacterTextSplitter
from tokenizers import Tokenizer

OUT = "tests/golden/splitter"
MODEL = "models/reranker-minilm-l6-v0/tokenizer.json"
FUZZ_TEXTS = 6000
SIZES = [1, 2, 3, 5, 8, 13, 20, 50, 100, 500, 1000]

XLMR = "tests/golden/tokenizers/small-xlmr/tokenizer.json"


def token_length(path):
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).tokens)


LENGTHS = {"characters": len, "tokens": token_length(MODEL), "xlmr-tokens": token_length(XLMR)}


def split(text, size, overlap, unit):
    length = LENGTHS[unit]
    return RecursiveCharacterTextSplitter(
        chunk_size=size, chunk_overlap=overlap, length_function=length).split_text(text)


def chunks_hash(chunks):
    h = xxhash.xxh3_64()
    for chunk in chunks:
        h.update(chunk.encode() + b"\xff")
    return h.hexdigest()


# ---- random texts -----------------------------------------------------------

class Lcg:
    def __init__(self, seed):
        self.state = seed
        for _ in range(4):
            self.next()

    def next(self, n=1 << 31):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (self.state >> 33) % n


def random_text(seed, profiles):
    """(bytes, profile, size, overlap, unit) of one random text: the order of draws is the format."""
    rng = Lcg(seed)
    profile = profiles[rng.next(len(profiles))]
    items = profile["items"]
    count = rng.next(2000 if rng.next(8) == 0 else 200)
    numbered = profile["name"] == "numbered"
    out, number = [], 0
    for _ in range(count):
        item = items[rng.next(len(items))]
        times = 1 + rng.next(60) if rng.next(40) == 0 else 1
        for _ in range(times):
            if isinstance(item, dict):
                out.append(bytes.fromhex(item["hex"]))
            elif numbered and "#" in item:
                out.append(item.replace("#", "w%05d" % number).encode())
                number += 1
            else:
                out.append(item.encode())
    size = SIZES[7 + rng.next(4)] if numbered else SIZES[rng.next(len(SIZES))]
    mode = rng.next(5)
    overlap = [0, size, size - 1, rng.next(size + 1), size // 5][mode]  # drawn in any mode
    unit = "tokens" if rng.next(5) == 0 and not numbered else "characters"
    return b"".join(out), profile, size, overlap, unit


def fuzz(profiles):
    total = 0
    with open(f"{OUT}/fuzz.tsv", "w") as f:
        for seed in range(FUZZ_TEXTS):
            raw, profile, size, overlap, unit = random_text(seed, profiles)
            text = raw.decode("utf-8", "replace")
            chunks = split(text, size, overlap, unit)
            h = xxhash.xxh3_64()
            for chunk in chunks:
                h.update(chunk.encode() + b"\xff")
                if profile["name"] == "numbered":
                    # Every word is unique here, so LangChain's text tells its place as well.
                    assert text.count(chunk) == 1, (seed, chunk)
                    h.update(b"%d\xff" % text.index(chunk))
            total += len(chunks)
            print(xxhash.xxh3_64_hexdigest(raw)[:8], len(chunks), h.hexdigest(), sep="\t", file=f)
    return total


# ---- written texts ----------------------------------------------------------

def written():
    """(name, text). Each has a reason to break something."""
    yield "empty", ""
    yield "one_character", "x"
    yield "spaces_only", " " * 40
    yield "newlines_only", "\n" * 40
    yield "mixed_white_space_only", " \n\n\t\r\n \u3000\u00a0\n\n\n " * 8
    yield "every_python_space", "a".join(map(chr, (
        *range(9, 14), *range(28, 33), 0x85, 0xa0, 0x1680, *range(0x2000, 0x200b), 0x2028, 0x2029,
        0x202f, 0x205f, 0x3000)))
    yield "almost_spaces", "a".join(map(chr, (0x180e, 0x200b, 0x200c, 0x200d, 0x2060, 0xfeff, 8, 14,
                                              27, 0x7f, 0x84, 0x86, 0x9f, 0xa1, 0x1fff, 0x2030)))
    yield "stripped_inside", "\u2003alpha\u2003 \u3000beta\u3000\n\u00a0gamma\u00a0\n\n\u0085delta\u0085"
    yield "three_newlines", "alpha\n\n\nbeta\n\n\n\ngamma\n\n\n\n\ndelta"
    yield "leading_separators", "\n\n\n  alpha beta\n\n"
    yield "crlf", "First line.\r\nSecond line.\r\n\r\nA paragraph after CRLF CRLF.\r\n\r\n\r\nEnd."
    yield "carriage_returns", "one\rtwo\r\rthree\r \rfour"
    yield "long_word", "short " + "x" * 130 + " tail"
    yield "only_long_word", "abcdefghij" * 30
    yield "long_words_and_lines", "\n".join(["y" * 60, "z" * 59 + " w", "v " * 40, "u" * 61])
    yield "exact_size", "a" * 50 + "\n\n" + "b" * 49 + "\n\n" + "c" * 48 + "\n\n" + "d" * 51
    yield "double_spaces", "alpha  beta   gamma    delta     epsilon" * 4
    yield "chinese", "检索增强生成把文档切成小段。每一段都有自己的向量,查询时先召回,再重排。" * 5
    yield "chinese_lines", "第一行没有空格。\n第二行也没有。\n\n新的一段从这里开始,它比前面的都要长得多,所以要被切开。" * 3
    yield "japanese_ideographic_space", "日本語\u3000テキスト\u3000には\u3000全角の空白が\u3000あります。" * 4
    yield "arabic", "البحث على مرحلتين: استرجاع ثم إعادة ترتيب. " * 6
    yield "emoji_sequences", "👩\u200d👩\u200d👧\u200d👦 family 🇩🇪🇯🇵 flags 👍🏽 tone ✈\ufe0f plane " * 4
    yield "combining", "e\u0301a\u0308o\u0302 " * 30 + "Z" + "\u0300" * 120
    yield "hangul", "안녕하세요 세계 \u1112\u1161\u11ab\u1100\u1173\u11af " * 8
    yield "nul_characters", "a\0b \0\0 c\n\0\n\nd\0" * 10
    yield "zero_width", "zero\u200bwidth\u200c \u200d joiners\ufeff here " * 6
    yield "astral", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈𐌰𐌽 " * 12
    yield "markdown", ("# Title\n\nIntro text with `code`.\n\n## Section\n\n- item one\n- item two\n\n"
                       "```c\nint main(void)\n{\n    return 0;\n}\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n") * 2
    yield "one_paragraph_per_line", "\n".join(f"Line {i} says {'word ' * (i % 7)}end." for i in range(30))
    yield "trailing_spaces", "alpha   \nbeta   \n\n   gamma\n   \n   \ndelta" * 3


CONFIGS = [(500, 100), (50, 10), (50, 0), (50, 50), (50, 49), (7, 3), (1, 0), (1, 1), (2, 1)]
TOKEN_CONFIGS = [(128, 32), (16, 4), (5, 5), (1, 0), (2, 1)]


def cases():
    texts = chunks_total = 0
    with open(f"{OUT}/cases.jsonl", "w") as f:
        for name, text in written():
            texts += 1
            configs = [(s, o, "characters") for s, o in CONFIGS] + \
                      [(s, o, unit) for unit in ("tokens", "xlmr-tokens") for s, o in TOKEN_CONFIGS]
            results = []
            for size, overlap, unit in configs:
                chunks = split(text, size, overlap, unit)
                chunks_total += len(chunks)
                row = {"size": size, "overlap": overlap, "unit": unit, "count": len(chunks)}
                if sum(map(len, chunks)) <= 200:
                    row["chunks"] = chunks
                else:
                    row["chunks_hash"] = chunks_hash(chunks)
                results.append(row)
            f.write(json.dumps({"name": name, "text": text, "results": results}) + "\n")
    return texts, chunks_total


def files():
    chunks_total = 0
    paths = sorted(glob.glob(f"{OUT}/texts/*") + glob.glob("examples/docs/*.md"))
    with open(f"{OUT}/files.tsv", "w") as f:
        for path in paths:
            raw = open(path, "rb").read()
            text = raw.decode()
            configs = [(500, 100, "characters"), (1000, 200, "characters"), (120, 119, "characters"),
                       (40, 8, "characters"), (128, 32, "tokens"), (32, 8, "tokens")]
            for size, overlap, unit in configs:
                chunks = split(text, size, overlap, unit)
                chunks_total += len(chunks)
                print(path, xxhash.xxh3_64_hexdigest(raw), size, overlap, unit, len(chunks),
                      chunks_hash(chunks), sep="\t", file=f)
    return paths, chunks_total


def sha256(path):
    return hashlib.sha256(open(path, "rb").read()).hexdigest()


def main():
    profiles = json.load(open(f"{OUT}/alphabet.json"))["profiles"]
    case_texts, case_chunks = cases()
    paths, file_chunks = files()
    fuzz_chunks = fuzz(profiles)
    inputs = [f"{OUT}/alphabet.json", MODEL, XLMR, *paths]
    manifest = {
        "generator": "tests/golden/make_splitter_goldens.py",
        "packages": {name: version(name) for name in
                     ("langchain-text-splitters", "tokenizers", "xxhash")},
        "inputs_sha256": {path: sha256(path) for path in inputs},
        "texts": {"cases": case_texts, "files": len(paths), "fuzz": FUZZ_TEXTS},
        "chunks": {"cases": case_chunks, "files": file_chunks, "fuzz": fuzz_chunks},
    }
    with open(f"{OUT}/manifest.json", "w") as f:
        json.dump(manifest, f, indent=2)
        f.write("\n")
    print(json.dumps({k: manifest[k] for k in ("texts", "chunks")}))


if __name__ == "__main__":
    assert os.path.isdir(OUT), "run from the repository root"
    main()
