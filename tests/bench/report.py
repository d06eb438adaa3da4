# SPDX-License-Identifier: MIT
"""From the figures of every round to medians, ratios, JSON, tables and docs/PERFORMANCE.md."""

import json
import os
import platform
import shlex
import statistics
import subprocess
import time

BEGIN = "<!-- bench:begin: written by tests/bench/run.py --update, not by hand -->"
END = "<!-- bench:end -->"


def spread(values):
    """Median, least and greatest of the rounds that have a figure; None if none has."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {"median": statistics.median(known), "min": min(known), "max": max(known)}


def ratios(base, peer):
    """Spread of base/peer, taken round by round: what slows down a whole round cancels out."""
    return spread([b / p if b is not None and p is not None else None
                   for b, p in zip(base, peer)])


def number(value):
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cell(found, text):
    if found is None:
        return "-"
    middle, least, most = (text(found[key]) for key in ("median", "min", "max"))
    return middle if least == most else f"{middle} ({least}..{most})"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join(["---"] * len(header)) + " |"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


class Report:
    """systems: [(key, label)], operations: [(name, title, unit)],
    figures: {name: {key: [a value or None for each round]}}."""

    def __init__(self, systems, operations, figures, facts, command):
        self.systems = systems
        self.operations = operations
        self.figures = figures
        self.facts = facts
        self.command = command
        self.base = systems[0]
        self.peers = systems[1:]

    def ratio(self, name, peer):
        return ratios(self.figures[name][self.base[0]], self.figures[name][peer])

    def values_table(self):
        rows = [[f"{title}, {unit}"] +
                [cell(spread(self.figures[name][key]), number) for key, _ in self.systems]
                for name, title, unit in self.operations]
        return table(["operation"] + [label for _, label in self.systems], rows)

    def ratio_table(self):
        rows = [[title] + [cell(self.ratio(name, key), "{:.2f}".format) for key, _ in self.peers]
                for name, title, _ in self.operations]
        return table([f"{self.base[1]} /"] + [label for _, label in self.peers], rows)

    def verdicts(self):
        """For each peer, the lines on which the base is behind it."""
        lines = []
        for key, label in self.peers:
            found = [(title, self.ratio(name, key)) for name, title, _ in self.operations]
            behind = [f"{title} ({ratio['median']:.2f})" for title, ratio in found
                      if ratio and ratio["median"] < 1]
            what = "; ".join(behind) if behind else "nothing"
            lines.append(f"* {self.base[1]} is behind {label} on: {what}.")
        return "\n".join(lines)

    def markdown(self):
        parts = ["Made by:", f"```sh\n{self.command}\n```",
                 "\n".join(f"* {name}: {value}" for name, value in self.facts.items()),
                 "Operations or megabytes (10^6) per second: median of the rounds (least..most).",
                 self.values_table()]
        if self.peers:
            parts += [f"Ratios, {self.base[1]} to each peer: median of the rounds' ratios "
                      "(least..most); above 1 means faster than the peer.",
                      self.ratio_table(), self.verdicts()]
        return "\n\n".join(parts) + "\n"

    def json(self):
        operations = []
        for name, title, unit in self.operations:
            values = self.figures[name]
            operations.append({
                "name": name, "title": title, "unit": unit,
                "rounds": values,
                "values": {key: spread(values[key]) for key, _ in self.systems},
                "ratios": {key: self.ratio(name, key) for key, _ in self.peers},
            })
        return {"command": self.command, "facts": self.facts, "base": self.base[0],
                "systems": [{"name": key, "label": label} for key, label in self.systems],
                "operations": operations}

    def write_json(self, path):
        with open(path, "w", encoding="utf-8") as out:
            json.dump(self.json(), out, indent=1)
            out.write("\n")


def replace_between(text, new):
    """text with what is between the markers replaced; each must be there once, in order."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"needs the lines {BEGIN!r} and {END!r} once each, in this order")
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n\n{new}\n{END}{rest.split(END)[1]}"


def update_document(path, new):
    with open(path, encoding="utf-8") as old:
        text = replace_between(old.read(), new)
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


def command_line(arguments):
    """The command that repeats a run, without the paths of this machine."""
    return shlex.join(["tests/bench/run.py", "--build", "build", *arguments])
