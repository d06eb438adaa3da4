# SPDX-License-Identifier: MIT
"""From the figures of every round to medians, ratios, JSON, tables and docs/PERFORMANCE.md; and what
the programs that compare have in common."""

import json
import os
import platform
import shlex
import signal
import statistics
import subprocess
import sys
import time

from systems import BenchError, Missing

GIB = 1 << 30
DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs")
DOCUMENT = os.path.join(DOCS, "PERFORMANCE.md")


def spread(values):
    """Median, least and greatest of the rounds that have a figure; None if none has."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {"median": statistics.median(known), "min": min(known), "max": max(known)}


def ratios(base, peer):
    """Spread of base/peer, taken round by round: what slows down a whole round cancels out."""
    return spread([b / p if b is not None and p else None for b, p in zip(base, peer)])


def number(value):
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cell(found, text):
    if found is None:
        return "-"
    middle, least, most = (text(found[key]) for key in ("median", "min", "max"))
    return middle if least == most else f"{middle} ({least}..{most})"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join(["---"] * len(header)) + " |"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def aims_table(lines):
    """lines: (aim, what was found, reached: None if not measured)."""
    words = {True: "yes", False: "**no**", None: "-"}
    return table(["aim", "found", "reached"],
                 [[aim, found, words[reached]] for aim, found, reached in lines])


class Report:
    """data: {group: {"title", "rounds", "systems": [(key, label)], "missing": [text],
    "operations": [(name, title, unit, more)], "figures": {name: {key: [Figure or None]}},
    "calls": {name: {key: [servers', own, how much, of what]}}}}."""

    base = "zcfs"

    def __init__(self, data, aims, facts, command, plots=()):
        self.data, self.aims, self.facts = data, aims, facts
        self.command, self.plots = command, plots
        self.home = {name: group for group in data.values() for name in group["figures"]}
        self.more = {op[0]: op[3] for group in data.values() for op in group["operations"]}
        self.labels = {key: label for group in data.values() for key, label in group["systems"]}

    # ---- figures

    def label(self, key):
        return self.labels.get(key, key)

    def has(self, name, key):
        return name in self.home and bool(self.home[name]["figures"][name].get(key))

    def values(self, name, key):
        return [one and one.value for one in self.home[name]["figures"][name][key]]

    def ratio(self, name, peer, base=None):
        """How many times faster the base is than the peer; None if one of them has no figure."""
        base = base or self.base
        if not self.has(name, base) or not self.has(name, peer):
            return None
        pair = self.values(name, base), self.values(name, peer)
        return ratios(*pair) if self.more[name] else ratios(*reversed(pair))

    def per_gib(self, name, key, what):
        """CPU seconds for each GiB, round by round; what: daemon, own or machine."""
        return [getattr(one, what) / (one.bytes / GIB)
                if one and one.bytes and getattr(one, what) is not None else None
                for one in self.home[name]["figures"][name][key]]

    # ---- tables

    @staticmethod
    def used(group, ops):
        """The systems that have a figure in one of the operations."""
        return [(key, label) for key, label in group["systems"]
                if any(group["figures"][op[0]].get(key) for op in ops)]

    def values_table(self, group, ops):
        keys = self.used(group, ops)
        rows = [[f"{title}, {unit}"] + [cell(spread(self.values(name, key)), number)
                                        if self.has(name, key) else "-" for key, _ in keys]
                for name, title, unit, _ in ops]
        return table(["operation"] + [label for _, label in keys], rows)

    def ratio_table(self, group, ops):
        base = group["systems"][0]
        keys = [one for one in self.used(group, ops) if one[0] != base[0]]
        rows = [[title] + [cell(self.ratio(name, key, base[0]), "{:.2f}".format)
                           for key, _ in keys] for name, title, *_ in ops]
        return table([f"{base[1]} /"] + [label for _, label in keys], rows)

    def cpu_cell(self, name, key):
        if not self.has(name, key):
            return "-"
        parts = [spread(self.per_gib(name, key, what)) for what in ("daemon", "own", "machine")]
        return " + ".join(f"{one['median']:.2f}" for one in parts[:2] if one) + \
            (f" ({parts[2]['median']:.2f})" if parts[2] else "")

    def cpu_table(self, group, ops):
        """Of operations that move much: CPU time of little is not measured well enough."""
        def moves(name):
            return any(one and one.bytes >= 64 << 20 for rounds in group["figures"][name].values()
                       for one in rounds)
        ops = [op for op in ops if moves(op[0])]
        if not ops:
            return None
        keys = self.used(group, ops)
        return table(["operation"] + [label for _, label in keys],
                     [[title] + [self.cpu_cell(name, key) for key, _ in keys]
                      for name, title, *_ in ops])

    def calls_table(self, group, ops):
        ops = [op for op in ops if group["calls"].get(op[0])]
        if not ops:
            return None
        keys = [one for one in group["systems"]
                if any(one[0] in group["calls"][op[0]] for op in ops)]

        def entry(found):
            if not found:
                return "-"
            theirs, own, amount, _ = found
            return " + ".join(number(each / amount) for each in (theirs, own) if each is not None)
        rows = []
        for name, title, *_ in ops:
            counts = group["calls"][name]
            unit = next(iter(counts.values()))[3]
            rows.append([f"{title}, for each {unit}"] +
                        [entry(counts.get(key)) for key, _ in keys])
        return table(["operation"] + [label for _, label in keys], rows)

    def verdicts(self, group, ops):
        """For each peer, the lines on which the base is behind it."""
        base, *others = group["systems"]
        lines = []
        for key, label in others:
            found = [(title, self.ratio(name, key, base[0])) for name, title, *_ in ops]
            behind = [f"{title} ({ratio['median']:.2f})" for title, ratio in found
                      if ratio and ratio["median"] < 1]
            if any(ratio for _, ratio in found):
                what = "; ".join(behind) if behind else "nothing"
                lines.append(f"* {base[1]} is behind {label} on: {what}.")
        return "\n".join(lines)

    def judged(self):
        return [aim.judge(self) for aim in self.aims]

    def group_parts(self, name, group):
        ops = group["operations"]
        parts = [f"### {group['title']}",
                 f"Median of {group['rounds']} rounds (least..most)." if group["rounds"] > 1
                 else "One round.", self.values_table(group, ops)]
        if len(group["systems"]) > 1:
            parts += [f"Ratios, {group['systems'][0][1]} to each other one: median of the rounds' "
                      "ratios (least..most); above 1 means better than that.",
                      self.ratio_table(group, ops), self.verdicts(group, ops)]
        cpu = self.cpu_table(group, ops)
        if cpu:
            parts += ["CPU seconds for each GiB: servers + the program itself (all processors: the "
                      "kernel's threads, interrupts and idle processors that poll included).", cpu]
        calls = self.calls_table(group, ops)
        if calls:
            parts += ["System calls: servers + the program itself, counted by perf in a pass of its "
                      "own, which is not timed.", calls]
        parts += [f"Left out: {text}." for text in group["missing"]]
        parts += [f"![{group['title']}]({path})" for key, path in self.plots if key == name]
        return parts

    def markdown(self):
        parts = ["Made by:", f"```sh\n{self.command}\n```",
                 "\n".join(f"* {name}: {value}" for name, value in self.facts.items())]
        if self.aims:
            parts += ["### What was aimed at", aims_table(self.judged())]
        for name, group in self.data.items():
            parts += self.group_parts(name, group)
        return "\n\n".join(part for part in parts if part) + "\n"

    # ---- JSON

    def json(self):
        groups = {}
        for name, group in self.data.items():
            base = group["systems"][0][0]
            groups[name] = dict(group, figures={
                op: {key: [one and one._asdict() for one in rounds]
                     for key, rounds in values.items()} for op, values in group["figures"].items()})
            groups[name]["values"] = {
                op: {key: spread(self.values(op, key)) for key in values}
                for op, values in group["figures"].items()}
            groups[name]["ratios"] = {
                op: {key: self.ratio(op, key, base) for key in values if key != base}
                for op, values in group["figures"].items()}
        return {"command": self.command, "facts": self.facts, "base": self.base, "groups": groups,
                "aims": [{"aim": aim, "found": found, "reached": reached}
                         for aim, found, reached in self.judged()]}

    def write_json(self, path):
        write_json(path, self.json())


def write_json(path, data):
    with open(path + ".new", "w", encoding="utf-8") as out:
        json.dump(data, out, indent=1)
        out.write("\n")
    os.replace(path + ".new", path)


def markers(name, script):
    return (f"<!-- {name}:begin: written by tests/bench/{script} --update, not by hand -->",
            f"<!-- {name}:end -->")


def replace_between(text, new, begin, end):
    """text with what is between the markers replaced; each must be there once, in order."""
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"needs the lines {begin!r} and {end!r} once each, in this order")
    head, rest = text.split(begin)
    return f"{head}{begin}\n\n{new}\n{end}{rest.split(end)[1]}"


def update_document(path, new, name, script):
    with open(path, encoding="utf-8") as old:
        text = replace_between(old.read(), new, *markers(name, script))
    with open(path + ".new", "w", encoding="utf-8") as out:
        out.write(text)
    os.replace(path + ".new", path)


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def memory_gib():
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)


def libfuse_version():
    try:
        return subprocess.run(["pkg-config", "--modversion", "fuse3"], text=True, check=True,
                              stdout=subprocess.PIPE).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def facts(host_fs, cold, rounds):
    """What a reader must know of the machine; nothing that names it."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "kernel": f"Linux {platform.release()} {platform.machine()}",
        "processor": f"{len(os.sched_getaffinity(0))} cores, {processor()}",
        "memory": f"{memory_gib():.0f} GiB",
        "libfuse": libfuse_version(),
        "host filesystem": host_fs,
        "cold means": cold,
        "rounds": rounds,
    }


def command_line(script, arguments):
    """The command that repeats a run, without the paths of this machine."""
    return shlex.join([f"tests/bench/{script}", "--build", "build", *arguments])


def leave(number_of_signal, _frame):
    sys.exit(128 + number_of_signal)


def program(name, args, bench):
    """Runs bench(args) as a program: its exit status. 77 means skipped, which --quick may be."""
    for number_of_signal in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number_of_signal, leave)
    try:
        bench(args)
    except Missing as err:
        print(f"{name}: {err}", file=sys.stderr)
        return 77 if args.quick and os.environ.get("CI") != "true" else 1
    except (BenchError, OSError, ValueError) as err:
        print(f"{name}: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
