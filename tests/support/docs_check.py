#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs_check.py SOURCE - the tests that docs/*.md name behind their statements exist: in brackets, as in
[live: atomic, kills; unit: full], or in the last cell of a table."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
tests = root / "tests"
folders = {"live": "integration/live", "pt": "integration/passthrough", "commit": "integration/commit", "crash": "crash"}


def stems(folder):
    return {f.stem for f in (tests / folder).iterdir() if f.suffix in (".sh", ".py", ".c")}


known = {kind: stems(folder) for kind, folder in folders.items()}
# What holds for every mount runs for that one, too.
known["pt"] |= {"all_" + name for name in known["commit"]}
known["unit"] = stems("unit")
for source in (tests / "unit").glob("*.c"):
    cases = re.findall(r"\bstatic void (\w+)\(void \*\*\w+\)|\b(?:CASE|TEST)\((\w+)", source.read_text())
    known["unit"] |= {name.removeprefix("test_") for pair in cases for name in pair}

kinds = "|".join(known)
looked_at, missing = 0, []
for doc in sorted(root.glob("docs/*.md")) + [root / "README.md"]:
    text = doc.read_text()
    lists = re.findall(rf"\[((?:{kinds}):[^\]]*)\]", text)
    lists += re.findall(rf"\| ((?:{kinds}):[^|\n]*) \|$", text, re.M)
    for part in (p for names in lists for p in names.split(";")):
        kind, _, names = part.strip().partition(":")
        for name in (n.strip().strip("`").removesuffix(".c") for n in names.split(",")):
            if kind in known and re.fullmatch(r"\w+", name):
                looked_at += 1
                if name not in known[kind]:
                    missing.append(f"{doc.name}: no test {kind}: {name}")
print(*missing, f"{looked_at} references", sep="\n")
sys.exit(bool(missing) or looked_at < 80)
