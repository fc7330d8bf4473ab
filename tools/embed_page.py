#!/usr/bin/env python3
"""embed_page.py -- the files of the web page as C arrays, so that the binary needs none of them.

    embed_page.py OUT.c FILE...

index.html is served at /, any other file at /NAME. Run by meson at build time; the entity tag is the
content's SHA-256, so an answer from a cache is never of another build. Standard library only."""
import hashlib
import os
import sys

from embed_file import array

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def main():
    out, names = sys.argv[1], sorted(sys.argv[2:])
    parts = ["/* Made by tools/embed_page.py from src/server/page: change it there. */", '#include "page_assets.h"', ""]
    rows = []
    for i, name in enumerate(names):
        with open(name, "rb") as file:
            data = file.read()
        base = os.path.basename(name)
        path = "/" if base == "index.html" else "/" + base
        tag = hashlib.sha256(data).hexdigest()[:20]
        parts.append(f"static const unsigned char asset_{i}[] = {{ /* {base} */\n{array(data)}\n}};")
        rows.append(f'    {{"{path}", "{TYPES[os.path.splitext(base)[1]]}; charset=utf-8", "\\"{tag}\\"", '
                    f"asset_{i}, sizeof asset_{i}}},")
    parts += ["", "const page_asset PAGE_ASSETS[] = {", *rows, "    {0},", "};", ""]
    with open(out, "w", encoding="ascii") as file:
        file.write("\n".join(parts))


main()
