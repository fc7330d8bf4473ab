#!/usr/bin/env python3
"""Writes src/text/unicode_tables.c by asking Hugging Face `tokenizers` about every code point.

Why ask, and not read the Unicode database: `tokenizers` mixes four crates whose tables are of
four Unicode versions (categories from Unicode 8, canonical decompositions from 13, lower case
and white space from the Rust compiler's, graphemes from unicode-segmentation's). No library
and no single database version gives the same answers, and a model was trained on those answers.

    any Python with `tokenizers` does.
    python3 tools/make_unicode_tables.py > src/text/unicode_tables.c
"""
import base64
import json
import struct
import sys
import unicodedata

import tokenizers
from tokenizers import Tokenizer, normalizers, pre_tokenizers

CPS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]

# Flag bits: keep in step with src/text/unicode.h.
OTHER, CLEAN_SPACE, WHITE, PUNCT, MN, LOWER, NFD, CCC, WORD, CJK = (1 << i for i in range(10))
GRAPHEME_SHIFT, INCB_SHIFT = 10, 14
(G_OTHER, G_CR, G_LF, G_CONTROL, G_EXTEND, G_ZWJ, G_RI, G_PREPEND, G_SPACING, G_L, G_V, G_T,
 G_SYLLABLE, G_PICTO) = range(14)


def grapheme_counter():
    """A Precompiled normaliser that answers X for a grapheme under six bytes, and X for each
    code point of a longer one: so it shows where `tokenizers` breaks graphemes."""
    units = [0] * 768
    units[0] = 256 << 10
    for c in range(1, 256):
        pos = 256 ^ c
        units[pos] = c | 1 << 8 | (pos ^ 512) << 10
    units[512] = 1 << 31
    blob = struct.pack("<I", len(units) * 4) + struct.pack("<%dI" % len(units), *units) + b"X\0"
    spec = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(blob).decode()}
    doc = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
           "normalizer": spec, "pre_tokenizer": None, "post_processor": None, "decoder": None,
           "model": {"type": "Unigram", "unk_id": 0, "vocab": [["u", 0.0]]}}
    n = Tokenizer.from_str(json.dumps(doc)).normalizer
    return lambda text: len(n.normalize_str(text))


def graphemes(flags):
    count = grapheme_counter()
    ACUTE, ZWJ, COPY, KA, VIRAMA = "\u0301", "\u200d", "\u00a9", "\u0915", "\u094d"

    def joined(before, tail):
        """No break before tail's first code point (tail + acute is under six bytes)."""
        return count(before + tail + ACUTE) == len(before + tail) + 1

    cls = {}
    incb = {}
    for c in CPS:
        s = chr(c)
        if 0xAC00 <= c <= 0xD7A3:
            cls[c] = G_SYLLABLE  # LV or LVT: arithmetic tells which
            continue
        if 0x1F1E6 <= c <= 0x1F1FF:
            cls[c] = G_RI
        elif s == "\r":
            cls[c] = G_CR
        elif s == "\n":
            cls[c] = G_LF
        elif c == 0x200D:
            cls[c] = G_ZWJ
        elif c and count("a" + s) == 1:
            # Extend may stand between a pictograph and its joiner, a spacing mark may not.
            cls[c] = G_EXTEND if joined(COPY + s + ZWJ, COPY) else G_SPACING
        elif c and count(s + "a") == 1:
            cls[c] = G_PREPEND
        elif c == 0 or (len(s.encode()) < 4 and count(s + ACUTE) == 2):
            cls[c] = G_CONTROL
        elif joined(s + ZWJ, COPY):
            cls[c] = G_PICTO
        elif joined(s, "\u1160"):
            cls[c] = G_V if joined(s, "\u11a8") else G_L
        elif joined(s, "\u11a8"):
            cls[c] = G_T
        elif len(s.encode()) == 4 and not joined(s + ACUTE + ZWJ, COPY) and \
                unicodedata.category(s) in ("Cc", "Cf", "Zl", "Zp"):
            cls[c] = G_CONTROL  # cannot be told apart by asking: it never is in a short grapheme
        if joined(s + VIRAMA, KA) and cls.get(c, 0) == 0:
            incb[c] = 1  # consonant
        elif cls.get(c) in (G_EXTEND, G_ZWJ):
            if joined(KA + s, KA):
                incb[c] = 2  # linker
            elif joined(KA + s + VIRAMA, KA):
                incb[c] = 3  # extend
    for c, g in cls.items():
        flags[c] |= g << GRAPHEME_SHIFT
    for c, i in incb.items():
        flags[c] |= i << INCB_SHIFT


def probe():
    clean = normalizers.BertNormalizer(True, False, False, False)
    cjk = normalizers.BertNormalizer(False, True, False, False)
    strip = normalizers.BertNormalizer(False, False, True, False)
    low, nfd = normalizers.Lowercase(), normalizers.NFD()
    bert, word = pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Whitespace()
    flags = [0] * 0x110000
    lower, decomposed, ccc = {}, {}, {}
    for c in CPS:
        s = chr(c)
        t = clean.normalize_str(s)
        if t == "":
            flags[c] |= OTHER
        elif t != s:
            assert t == " "
            flags[c] |= CLEAN_SPACE
        if cjk.normalize_str(s) != s:
            flags[c] |= CJK
        t = low.normalize_str(s)
        if t != s:
            flags[c] |= LOWER
            lower[c] = [ord(x) for x in t]
        t = nfd.normalize_str(s)
        if t != s:
            flags[c] |= NFD
            if not 0xAC00 <= c <= 0xD7A3:  # Hangul syllables: arithmetic
                decomposed[c] = [ord(x) for x in t]
        elif strip.normalize_str(s) == "":
            flags[c] |= MN
        pieces = len(bert.pre_tokenize_str("a" + s + "a"))
        if pieces == 3:
            flags[c] |= PUNCT
        elif pieces == 2:
            flags[c] |= WHITE
        if len(word.pre_tokenize_str("a" + s)) == 1 and not flags[c] & WHITE:
            flags[c] |= WORD
        # A mark is reordered before iota subscript (class 240), or iota before it never.
        if t == s and (nfd.normalize_str("\u0345" + s) != "\u0345" + s or c == 0x0345):
            ccc[c] = unicodedata.combining(s)
            assert ccc[c], hex(c)
            flags[c] |= CCC
    graphemes(flags)
    return flags, lower, decomposed, ccc


def array(ctype, name, values, fmt="%d", per_line=16):
    print("const %s %s[%d] = {" % (ctype, name, len(values)))
    for i in range(0, len(values), per_line):
        print("    " + ", ".join(fmt % v for v in values[i:i + per_line]) + ",")
    print("};\n")


def mapping(name, table):
    """Code points sorted; a sequence is pool[start[i] .. start[i + 1])."""
    keys = sorted(table)
    pool, start = [], [0]
    for k in keys:
        pool += table[k]
        start.append(len(pool))
    array("uint32_t", "wn_unicode_%s_keys" % name, keys, "0x%X", 10)
    array("uint16_t", "wn_unicode_%s_start" % name, start)
    array("uint32_t", "wn_unicode_%s_pool" % name, pool, "0x%X", 10)


def main():
    flags, lower, decomposed, ccc = probe()
    blocks, index = [], []
    seen = {}
    for b in range(0, 0x110000, 128):
        block = tuple(flags[b:b + 128])
        if block not in seen:
            seen[block] = len(blocks)
            blocks.append(block)
        index.append(seen[block])
    print("/* unicode_tables.c -- generated by tools/make_unicode_tables.py; do not edit.")
    print(" * Every value is the answer of Hugging Face tokenizers %s about one code point"
          % tokenizers.__version__)
    print(" * (its categories, case, decompositions and graphemes are of differing Unicode versions).")
    print(" * %d lower-case mappings, %d decompositions, %d combining classes, %d distinct blocks. */"
          % (len(lower), len(decomposed), len(ccc), len(blocks)))
    print('#include "text/unicode.h"\n')
    print("/* clang-format off */")
    array("uint16_t", "wn_unicode_index", index)
    array("uint16_t", "wn_unicode_blocks", [v for b in blocks for v in b], "0x%X", 14)
    mapping("lower", lower)
    mapping("nfd", decomposed)
    array("uint32_t", "wn_unicode_ccc_keys", sorted(ccc), "0x%X", 10)
    array("uint8_t", "wn_unicode_ccc_values", [ccc[k] for k in sorted(ccc)])
    print("const size_t wn_unicode_lower_count = %d, wn_unicode_nfd_count = %d, wn_unicode_ccc_count = %d;"
          % (len(lower), len(decomposed), len(ccc)))
    print("%s" % {k: sum(1 for c in CPS if flags[c] & v) for k, v in
                  dict(OTHER=OTHER, WHITE=WHITE, PUNCT=PUNCT, MN=MN, WORD=WORD, CJK=CJK).items()},
          file=sys.stderr)
    g = [0] * 16
    i = [0] * 4
    for c in CPS:
        g[flags[c] >> 10 & 15] += 1
        i[flags[c] >> 14] += 1
    print(g, i, file=sys.stderr)


if __name__ == "__main__":
    main()
