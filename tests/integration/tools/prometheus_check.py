#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""prometheus_check.py TEXT JSON MOUNT - the text is Prometheus's exposition format 0.0.4, as strictly as that is
written, with the naming rules of its manual, and it says what the JSON of the same moment says."""
import json
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(rf"({NAME})\{{((?:{LABEL},)*{LABEL})\}} ([0-9]+(?:\.[0-9]+)?)")
SUFFIXES = {"counter": ("",), "gauge": ("",), "summary": ("_sum", "_count")}

path, facts, mount = sys.argv[1:]
with open(path, encoding="utf-8", errors="strict") as f:
    text = f.read()
assert text.endswith("\n") and not text.endswith("\n\n"), "the last line has no end, or an empty line follows"
samples, metrics, current, helped = {}, {}, None, None
for number, line in enumerate(text[:-1].split("\n"), 1):
    where = f"line {number}: {line}"
    if line.startswith("# HELP "):
        helped, _, said = line[7:].partition(" ")
        assert re.fullmatch(NAME, helped) and said and helped not in metrics, where
    elif line.startswith("# TYPE "):
        current, kind = line[7:].split(" ")
        assert current == helped and current not in metrics and kind in SUFFIXES, where
        assert (kind == "counter") == current.endswith("_total"), f"{where}: a counter, and only it, is a _total"
        metrics[current] = kind
    else:
        match = SAMPLE.fullmatch(line)
        assert match, where
        assert match[1] in [current + s for s in SUFFIXES[metrics[current]]], f"{where}: not of the metric above"
        labels = re.findall(LABEL, match[2])
        assert len(dict(labels)) == len(labels), f"{where}: a label twice"
        plain = [(k, re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], v)) for k, v in labels]
        assert dict(plain)["mount"] == mount, f"{where}: another mount"
        key = (match[1], tuple(sorted(plain)))
        assert key not in samples, f"{where}: twice"
        samples[key] = float(match[7])
assert len(metrics) >= 20, metrics
assert not [m for m in metrics if not m.startswith("zcfs_")]
assert not [m for m in metrics if re.search(r"_(ns|us|ms|kib|mib|kilobytes|nanoseconds)(_|$)", m)], "base units"

with open(facts, encoding="utf-8") as f:
    j = json.load(f)


def value(metric, **labels):
    return samples.pop((metric, tuple(sorted([("mount", mount), *labels.items()]))))


for name in [n[:-4] for n in j if n.endswith("_ops") and "_" in n[:-4]]:
    family, _, way = name.partition("_")
    assert value(f"zcfs_{family}_bytes_total", path=way) == j[f"{name}_bytes"], name
    assert value(f"zcfs_{family}_operations_total", path=way) == j[f"{name}_ops"], name
for reason, n in j["fallbacks"].items():
    assert value("zcfs_fallbacks_total", reason=reason) == n, reason
for errno, n in j["errors"].items():
    assert value("zcfs_errors_total", errno=errno) == n, errno
for operation, o in j["operations"].items():
    assert value("zcfs_requests_total", operation=operation) == o["count"], operation
    assert value("zcfs_request_duration_seconds_count", operation=operation) == o["answered"], operation
    for what, member in ("sum", "nanoseconds"), ("max", "max_nanoseconds"):
        seconds = value(f"zcfs_request_duration_seconds_{what}", operation=operation)
        assert abs(seconds - o[member] / 1e9) < 2e-9, (operation, what)
for kind, c in j["commits"].items():
    assert value("zcfs_commit_duration_seconds_count", kind=kind) >= c["count"], kind
    for what in "sum", "max":
        value(f"zcfs_commit_duration_seconds_{what}", kind=kind)
for mode in "user", "system":
    assert value("zcfs_cpu_seconds_total", mode=mode) >= j[f"cpu_{mode}_nanoseconds"] / 1e9 - 1e-6
value("zcfs_info", store=j["store"], uuid=j["uuid"], version=j["version"])
assert value("zcfs_uptime_seconds") >= j["uptime_nanoseconds"] / 1e9
left = [m for m, labels in samples if dict(labels).keys() != {"mount"}]
assert not left, f"not in the JSON: {left}"
print(f"ok: {len(metrics)} metrics of Prometheus's text format")
