#!/usr/bin/env python3
"""plot_growth.py -- docs/performance-*.svg from bench/results/growth.csv, by Python's standard library alone.

    bench/plot_growth.py          (tools/bench.sh runs it after growth)

Plain SVG: both axes logarithmic, a line a series with its name at its end, colours that a reader with
any common kind of colour blindness can tell apart, and a style of its own for dark pages. Whether the page is dark
is the viewer's setting (prefers-color-scheme); the picture brings its own background, so that it is readable anyhow.
"""
import collections
import csv
import math
import sys

import bench_common as common

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 46, 48
KINDS = {"pairs": ("Reranking: time by number of pairs (96 tokens each)", "pairs"),
         "length": ("Reranking: time of 50 pairs by their length", "tokens a pair"),
         "corpus": ("Exact dense search: time by corpus (384 dimensions, 100 nearest)", "vectors")}
STYLE = """
.bg{fill:#fff}.text{fill:#24292f;font:13px sans-serif}.title{font-weight:bold;font-size:14px}.grid{stroke:#d0d7de;stroke-width:1}
.line{fill:none;stroke-width:2}.s0{stroke:#0060a8}.s1{stroke:#c04000}.s2{stroke:#107850}.s3{stroke:#8030a0}
.d0{fill:#0060a8}.d1{fill:#c04000}.d2{fill:#107850}.d3{fill:#8030a0}.name{font:13px sans-serif}
@media (prefers-color-scheme:dark){.bg{fill:#0d1117}.text{fill:#e6edf3}.grid{stroke:#30363d}.s0{stroke:#58a6ff}.s1{stroke:#ff9d5c}
.s2{stroke:#4cc38a}.s3{stroke:#d2a8ff}.d0{fill:#58a6ff}.d1{fill:#ff9d5c}.d2{fill:#4cc38a}.d3{fill:#d2a8ff}}
"""


def nice(value):
    """A tick's label, short."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def milliseconds(value):
    return f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms" if value >= 1 else f"{value * 1000:g} µs"


class Axis:
    """A logarithmic axis over whole decades of what there is to show."""

    def __init__(self, values, begin, end, whole):
        low, high = math.log10(min(values)), math.log10(max(values))
        self.low, self.high = (math.floor(low), math.ceil(high)) if whole else (low, high)
        if self.high - self.low < 1e-9:
            self.high = self.low + 1
        self.begin, self.end = begin, end

    def __call__(self, value):
        return self.begin + (math.log10(value) - self.low) / (self.high - self.low) * (self.end - self.begin)

    def decades(self):
        return [10.0 ** d for d in range(math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9) + 1)]


def apart(places, least=16):
    """Label places moved down until none hides another."""
    out, last = {}, -1e9
    for name, y in sorted(places.items(), key=lambda p: p[1]):
        out[name] = last = max(y, last + least)
    return out


def draw(title, xlabel, lines):
    points = [p for line in lines.values() for p in line]
    x = Axis([p[0] for p in points], LEFT, WIDTH - RIGHT, False)
    y = Axis([p[1] for p in points], HEIGHT - BOTTOM, TOP, True)
    ticks = sorted({p[0] for p in points})
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">',
           f"<title>{title}</title><style>{STYLE}</style>", f'<rect class="bg" width="{WIDTH}" height="{HEIGHT}"/>',
           f'<text class="text title" x="{LEFT}" y="24">{title}</text>']
    for value in y.decades():
        out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
                   f'<text class="text" text-anchor="end" x="{LEFT - 8}" y="{y(value) + 4:.1f}">{milliseconds(value)}</text>')
    for value in ticks:
        out.append(f'<line class="grid" y1="{TOP}" y2="{HEIGHT - BOTTOM}" x1="{x(value):.1f}" x2="{x(value):.1f}"/>'
                   f'<text class="text" text-anchor="middle" x="{x(value):.1f}" y="{HEIGHT - BOTTOM + 18}">{nice(value)}</text>')
    out.append(f'<text class="text" text-anchor="middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}">{xlabel}</text>')
    labels = apart({name: y(line[-1][1]) + 4 for name, line in lines.items()})
    for i, (name, line) in enumerate(lines.items()):
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line)
        out.append(f'<polyline class="line s{i}" points="{path}"/>')
        out += [f'<circle class="d{i}" cx="{x(a):.1f}" cy="{y(b):.1f}" r="3"/>' for a, b in line]
        out.append(f'<text class="name d{i}" x="{WIDTH - RIGHT + 10}" y="{labels[name]:.1f}">{name}</text>')
    return "\n".join(out) + "\n</svg>\n"


def main():
    path = common.RESULTS / "growth.csv"
    if not path.exists():
        print(f"SKIPPED plots: no {path.relative_to(common.ROOT)} (tools/bench.sh growth)")
        return 0
    kinds = collections.defaultdict(lambda: collections.defaultdict(list))
    with open(path) as f:
        for r in csv.DictReader(f):
            kinds[r["kind"]][r["series"]].append((float(r["x"]), float(r["wall_ms"])))
    for kind, lines in kinds.items():
        out = common.ROOT / "docs" / f"performance-{kind}.svg"
        out.write_text(draw(*KINDS[kind], {name: sorted(points) for name, points in lines.items()}), encoding="utf-8")
        print(f"drawn: {out.relative_to(common.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
