#!/usr/bin/env python3
"""Goldens of the Markdown outline, from markdown-it-py's "commonmark" preset.

Run from the repository root:  python tests/golden/make_markdown_goldens.py
Needs markdown-it-py and xxhash; `make test` needs neither.

Writes into tests/golden/markdown/:
  cases.jsonl    written documents with their top-level headings [line, level, text] (line from 0)
  files.tsv      the same for examples/docs/*.md: path, hash of the file, headings as JSON
  fuzz.tsv       one line a random document (line number = seed): hash of the text, number of
                 top-level headings, XXH3-64 over "line level\\n" of each
  manifest.json
Headings without text, and headings inside quotes and lists, are not in the outline.
"""
import glob
import hashlib
import json
import re
from importlib.metadata import version

import xxhash
from markdown_it import MarkdownIt

OUT = "tests/golden/markdown"
FUZZ_TEXTS = 4000
md = MarkdownIt("commonmark", {"maxNesting": 200})


def plain(inline):
    out = []
    for token in inline.children or []:
        if token.type in ("text", "code_inline", "text_special"):
            out.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            out.append(" ")
        elif token.type == "image":
            out.append(plain(token))
    return re.sub(r"[ \t-\r]+", " ", "".join(out)).strip(" ")


def headings(text):
    tokens = md.parse(text)
    found = []
    for i, token in enumerate(tokens):
        if token.type == "heading_open" and token.level == 0:
            label = plain(tokens[i + 1])
            if label:
                found.append([token.map[0], int(token.tag[1]), label])
    return found


CASES = {
    "atx": "# a\n## b\n### c\n#### d\n##### e\n###### f\n####### no\n#no\n#\tyes\n\\# no\n",
    "closing": "# a #\n## b ##   \n### c ###########\n# d#\n# e # f\n### g \\###\n## h #\\##\n# i \\#\n",
    "indent": " # a\n  ## b\n   ### c\n    # code\n\nfoo\n    # bar\n",
    "empty": "#\n##\n### ###\n# \n",
    "setext": "Foo *bar*\n=========\n\nFoo\nbar\n---\n\nA\n=\n\nB\n    ---\n\nC\n= =\n\nD  \n---\n\nE\\\n----\n",
    "setext_not": "---\n\n- foo\n---\n\n> bar\n---\n\n    code\n---\n\n> a\nb\n===\n\n`x\n----\n`\n",
    "fences": "```\n# no\n```\n# yes\n~~~ info `x`\n# no\n```\n# no\n~~~\n# yes two\n````\n```\n# no\n````\n# three\n",
    "fence_open_to_end": "# a\n```sh\n# comment\n\n# comment\n",
    "fence_not": "``` a`b\n# yes\n```\n# no\n",
    "fence_indent": "   ```\n   # no\n  ```\n# yes\n    ```\n# yes two\n",
    "indented_code": "para\n\n    # code\n\n\t# code\n\n# yes\n",
    "comment": "<!--\n# no\n\n# no\n-->\n# yes\n<!-- one line -->\n# two\n\ntext <!--\n# three\n-->\n",
    "html": "<div>\n# no\n\n# yes\n\n<pre>\n# no\n\n# no\n</pre>\n# two\n<script>\n# no\n</script>\n<span class=\"a\">\n# no\n\n# three\n<?php\n# no\n?>\n<!DOCTYPE\n# no\n>\n<![CDATA[\n# no\n]]>\n# four\n",
    "html_interrupts": "para\n<div>\n# no\n\npara\n<span>\n# yes\n",
    "quote": "> # no\n> text\n# yes\n> text\nlazy\n# two\n>\n# three\n",
    "list": "- # no\n\n  # no\n# yes\n1. item\n\n   # no\n\n   ```\n   # no\n# two\n- a\n  - b\n\n    # no\n\n # three\n",
    "list_interrupts": "para\n2. text\n===\n\npara\n1. item\n# yes\n\npara\n-\n\npara\n- x\n===\n",
    "list_empty_item": "-\n\n  # yes\n\n-\n  # no\n\n- \n\n      # code\n",
    "tabs": "-\t# no\n\n\t# no\n#\tTab\tin heading\t#\t\n>\t# no\n",
    "rules": "* * *\n# a\n***\ntext\n***\n# b\n_ _ _\n- - -\n# c\n",
    "crlf": "# a\r\n\r\ntext\r\nb\r\n---\r\n\r\n```\r\n# no\r\n```\r\n## c ##\r\n",
    "cr_only": "# a\rtext\r\rb\r===\r# c\r",
    "definitions": "[foo]: /url\n# yes\n\n[bar]: /url \"title\"\nHead\n===\n\n[baz]: <u>\n===\n\n[x]\n---\n",
    "inline": "# *em* **strong** `code *x*` [link](http://a/b_c) ![alt *t*](i.png)\n## <b>tag</b> &amp; &lt;T&gt; &#233; \\*star\\*\n"
              "### snake_case_name and _emphasis_ 2 * 3\n#### <https://example.org/a_b> [ref][r]\n\n[r]: /x\n",
    "unicode": "# Überschrift 第一章 ✓\n## عنوان\n### a\u00a0b\n",
    "long_setext": "one\ntwo\nthree\n===\n",
    "no_final_newline": "# a\n## b",
    "nested_lists": "1. a\n   - b\n     > c\n     > # no\n\n     # no\n# yes\n",
    "lazy_setext": "- a\nb\n===\n\n> a\n===\n",
    "heading_ends_paragraph": "text\n# a\ntext\n# b #\n",
}

# Alphabet of the random documents: whole lines and pieces of lines, one draw each.
LINES = ["# h\n", "## hh ##\n", "### x y\n", "text\n", "more text\n", "\n", "\n", "===\n", "---\n", "  ---\n",
         "```\n", "~~~\n", "````\n", "```sh\n", "    ", "  ", "   ", " ", "\t", "> ", ">", "- ", "* ", "1. ", "2) ",
         "10. ", "-\n", "<div>\n", "</div>\n", "<!-- ", "-->\n", "<pre>\n", "</pre>\n", "<span>\n", "* * *\n",
         "<b>x</b>\n", "#", "##\tz\n", "+\tq\n", "text\r\n", "# crlf\r\n", "\r\n", "<?x\n", "?>\n", "é\n", "`a`\n"]


class Lcg:
    def __init__(self, seed):
        self.state = seed
        for _ in range(4):
            self.next(2)

    def next(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (self.state >> 33) % n


def random_text(seed):
    rng = Lcg(seed)
    return "".join(LINES[rng.next(len(LINES))] for _ in range(rng.next(60)))


def main():
    with open(f"{OUT}/cases.jsonl", "w") as f:
        for name, text in CASES.items():
            f.write(json.dumps({"name": name, "text": text, "headings": headings(text)}) + "\n")
    paths = sorted(glob.glob("examples/docs/*.md"))
    with open(f"{OUT}/files.tsv", "w") as f:
        for path in paths:
            raw = open(path, "rb").read()
            # Front matter is no part of CommonMark: its lines are emptied, so that numbers stay.
            body = re.sub(r"\A---\n.*?\n---\n", lambda m: "\n" * m[0].count("\n"), raw.decode(), flags=re.S)
            print(path, xxhash.xxh3_64_hexdigest(raw), json.dumps(headings(body)), sep="\t", file=f)
    total = 0
    with open(f"{OUT}/fuzz.tsv", "w") as f:
        for seed in range(FUZZ_TEXTS):
            text = random_text(seed)
            found = headings(text)
            total += len(found)
            h = xxhash.xxh3_64_hexdigest("".join(f"{line} {level}\n" for line, level, _ in found).encode())
            print(xxhash.xxh3_64_hexdigest(text.encode())[:8], len(found), h, sep="\t", file=f)
    with open(f"{OUT}/lines.json", "w") as f:
        json.dump(LINES, f)
        f.write("\n")
    manifest = {
        "generator": "tests/golden/make_markdown_goldens.py",
        "packages": {name: version(name) for name in ("markdown-it-py", "xxhash")},
        "inputs_sha256": {p: hashlib.sha256(open(p, "rb").read()).hexdigest() for p in paths},
        "texts": {"cases": len(CASES), "files": len(paths), "fuzz": FUZZ_TEXTS},
        "fuzz_headings": total,
    }
    with open(f"{OUT}/manifest.json", "w") as f:
        json.dump(manifest, f, indent=2)
        f.write("\n")
    print(json.dumps(manifest["texts"]), total)


if __name__ == "__main__":
    main()
