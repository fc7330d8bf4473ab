#!/usr/bin/env python3
"""check_tree.py -- what a compiler does not check: arrows between rooms, file lengths, README.

Arrows: a room of src/ includes itself and the rooms below it, never above; the outer rooms (cli,
server, python) include the public headers alone, as any stranger's program would.
Lengths: a file has at most 800 lines, unless its first 60 lines say why with the words
"over 800 lines".
README: every C block of README.md is a file of examples/c/, which the build compiles; the file's
opening comment is left out in the README."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BELOW = {
    "core": set(),
    "text": {"core"},
    "kernels": {"core"},
    "model": {"core", "text", "kernels"},
    "index": {"core", "text", "kernels", "model"},
    "pipeline": {"core", "text", "kernels", "model", "index"},
    "eval": {"core"},
    "cli": set(),
    "server": set(),
    "python": set(),
}
OUTER = {"cli", "server", "python"}
# Each public header is the face of a room; an inner room must not look up at a higher face.
FACES = {"search.h": "pipeline"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
problems = []


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def files(top, endings):
    for folder, _, names in os.walk(os.path.join(ROOT, top)):
        for name in sorted(names):
            if name.endswith(endings):
                yield os.path.relpath(os.path.join(folder, name), ROOT)


def check_include(path, room, quote, target):
    first, _, rest = target.partition("/")
    if target == "winnow.h":
        if room not in OUTER:
            problems.append(f"{path}: an inner room includes winnow.h; include its own face")
    elif first == "winnow":
        face = FACES.get(rest, rest.removesuffix(".h"))
        if room not in OUTER and face != room and face not in BELOW[room]:
            problems.append(f"{path}: {room} must not include {target}")
    elif quote == '"' and rest and first != room and first not in BELOW[room]:
        problems.append(f"{path}: {room} must not include {target}")
    elif quote == '"' and room in OUTER and ".." in target:
        problems.append(f"{path}: {target} leaves the room")


def check_arrows():
    for path in files("src", (".c", ".h")):
        room = path.split(os.sep)[1]
        if room not in BELOW:
            problems.append(f"{path}: check_tree.py does not know the room {room}")
            continue
        for quote, target in INCLUDE.findall(read(path)):
            check_include(path, room, quote, target)
    for path in files("include", (".h",)):
        for quote, target in INCLUDE.findall(read(path)):
            if quote == '"':
                problems.append(f'{path}: a public header includes "{target}"')


def check_lengths():
    for top in ("src", "include", "tests", "bench", "tools", "examples"):
        for path in files(top, (".c", ".h", ".py", ".sh")):
            lines = read(path).splitlines()
            if len(lines) > 800 and "over 800 lines" not in "\n".join(lines[:60]):
                problems.append(f"{path}: {len(lines)} lines, and its head does not say why")


def check_readme():
    if not os.path.exists(os.path.join(ROOT, "README.md")):
        return
    known = {}
    for path in files("examples/c", (".c",)):
        known[re.sub(r"\A/\*.*?\*/\n+", "", read(path), flags=re.S).strip()] = path
    readme = read("README.md")
    for block in re.findall(r"^```c\n(.*?)^```", readme, re.M | re.S):
        if block.strip() not in known:
            problems.append("README.md: a C block is in no file of examples/c: "
                            + block.strip().splitlines()[0])
    if len(readme.splitlines()) > 250:
        problems.append(f"README.md: {len(readme.splitlines())} lines, over 250")


check_arrows()
check_lengths()
check_readme()
for problem in problems:
    print(problem)
sys.exit(1 if problems else 0)
