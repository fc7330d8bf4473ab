#!/usr/bin/env python3
"""count_tests.py -- cases passed, failed and skipped, from meson's log of test programs.

    count_tests.py SUITE testlog.json REPORT

Prints "PASSED FAILED SKIPPED" and writes to REPORT what a reader of CI wants to see: the lines in
which parity tests say how much they compared and the largest difference, every skipped case by
name, and the output of what failed. A cmocka or unittest program counts by its cases, any other program
as one case; a program that dies counts as a failure whatever its cases said before. meson counts
programs only, which would hide a skipped case: that is why this script exists. Standard library
only, since meson brings the interpreter."""
import json
import re
import sys

CASES = re.compile(r"^\[  (PASSED |SKIPPED|FAILED )\s*\] (\d+) test\(s\)", re.M)
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n\n(?:OK|FAILED)(?: \((.*)\))?$", re.M)
SKIPPED = re.compile(r"^\[  SKIPPED \] (\w+)$", re.M)
SKIPPED_METHOD = re.compile(r"^(\w+) \(.*\.\.\. skipped (.*)$", re.M)  # unittest -v
WORTH_SHOWING = re.compile(r"parity|largest|compared|SKIPPED:", re.I)


def count(test, report):
    text = test.get("stdout", "") + "\n" + test.get("stderr", "")
    tally = {"PASSED": 0, "FAILED": 0, "SKIPPED": 0}
    for word, number in CASES.findall(text):
        tally[word.strip()] += int(number)
    for number, rest in UNITTEST.findall(text):  # Python's: "FAILED (failures=1, skipped=2)"
        said = dict(re.findall(r"(\w+)=(\d+)", rest))
        skipped = int(said.get("skipped", 0))
        failed = int(said.get("failures", 0)) + int(said.get("errors", 0))
        tally["SKIPPED"] += skipped
        tally["FAILED"] += failed
        tally["PASSED"] += max(int(number) - skipped - failed, 0)
    result = test["result"]
    if not any(tally.values()):
        tally["PASSED" if result == "OK" else "SKIPPED" if result == "SKIP" else "FAILED"] = 1
    elif result not in ("OK", "SKIP") and tally["FAILED"] == 0:
        tally["FAILED"] = 1
    for line in text.splitlines():
        if WORTH_SHOWING.search(line) and not line.startswith("["):
            report.append(f"   {line.strip()}")
    for name in sorted(set(SKIPPED.findall(text))):
        report.append(f"   SKIPPED {test['name']}: {name}")
    for name, why in SKIPPED_METHOD.findall(text):
        report.append(f"   SKIPPED {test['name']}: {name}: {why}")
    if result == "SKIP" and not SKIPPED.search(text):
        report.append(f"   SKIPPED {test['name']}")
    if tally["FAILED"]:
        report.append(f"   FAILED {test['name']} ({result}, exit {test.get('returncode')}):")
        report.extend(f"     | {line}" for line in text.strip().splitlines()[-60:])
    return tally


def main():
    _, suite, log, report_path = sys.argv
    total = {"PASSED": 0, "FAILED": 0, "SKIPPED": 0}
    report = []
    try:
        with open(log, encoding="utf-8", errors="replace") as lines:
            tests = [json.loads(line) for line in lines if line.strip()]
    except OSError as error:
        tests = []
        report.append(f"   FAILED {suite}: no test log ({error})")
        total["FAILED"] = 1
    for test in tests:
        for word, number in count(test, report).items():
            total[word] += number
    with open(report_path, "w", encoding="utf-8") as out:
        out.writelines(line + "\n" for line in report)
    print(total["PASSED"], total["FAILED"], total["SKIPPED"])


main()
