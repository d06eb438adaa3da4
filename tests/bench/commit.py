#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares commits of scattered pages on zcfs with ext4, SQLite and LMDB over the same disk.

Everything lies below one directory of the host filesystem. The series take turns at every number of
pages, in another order in each round; ratios are taken within a round. The measurements are in
commit_ops.c and commit_db.c; what is mounted here is taken down again, whatever happens.
"""

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
from typing import NamedTuple

# A run must not write into the source tree.
sys.dont_write_bytecode = True

import report
import systems
from systems import BenchError, Missing
from commit_plot import plot

PLOT = os.path.join("plots", "commit.svg")
CALL_SECONDS = 600
PAGES = [1, 8, 64, 1000]
DEFAULTS = {"rounds": 7, "size": 256, "seconds": 1.0, "threads": "1,2,4,8,16", "thread-size": 16}
QUICK = {"rounds": 1, "size": 8, "seconds": 0.02, "threads": "1,4", "thread-size": 1}


class Series(NamedTuple):
    key: str
    label: str
    place: str
    way: str


SERIES = [
    Series("zcfs-pwrite", "zcfs, pwrite + fsync", "zcfs", "pwrite"),
    Series("zcfs-mmap", "zcfs, mmap + msync", "zcfs", "mmap"),
    Series("ext4-pwrite", "ext4, pwrite + fsync (not atomic)", "host", "pwrite"),
    Series("ext4-mmap", "ext4, mmap + msync (not atomic)", "host", "mmap"),
    Series("ext4-rename", "ext4, new file + rename", "host", "rename"),
    Series("sqlite", "SQLite, WAL, FULL", "host", "sqlite"),
    Series("lmdb", "LMDB", "host", "lmdb"),
]
BASES = ["pwrite", "mmap"]


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.environ.get("ZC_BUILD", "build"), metavar="DIR",
                        help="where zcfs was built (ZC_BUILD, or build)")
    parser.add_argument("--dir", default=tempfile.gettempdir(), metavar="DIR",
                        help="a directory of the host filesystem to work in (TMPDIR)")
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--size", type=int, metavar="MIB", help="size of the file")
    parser.add_argument("--seconds", type=float, metavar="S", help="of each measurement")
    parser.add_argument("--threads", metavar="LIST", help="numbers of threads")
    parser.add_argument("--thread-size", type=int, metavar="MIB", help="size of a thread's file")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--plot", metavar="FILE", help="write the plot there, if gnuplot is here")
    parser.add_argument("--update", action="store_true",
                        help="put the tables into docs/PERFORMANCE.md, the plot beside it")
    parser.add_argument("--quick", action="store_true", help="tiny counts: only shows that "
                        "everything runs; exits 77 if a prerequisite is missing, unless CI=true")
    parser.add_argument("--ops", metavar="PROGRAM", help="commit_ops, if not that of the build")
    args = parser.parse_args(argv)
    for name, value in (QUICK if args.quick else DEFAULTS).items():
        name = name.replace("-", "_")
        if getattr(args, name) is None:
            setattr(args, name, value)
    try:
        args.crowds = [int(word) for word in args.threads.split(",")]
    except ValueError:
        parser.error(f"--threads {args.threads}: not a list of numbers")
    if min([args.rounds, args.thread_size] + args.crowds) < 1 or max(args.crowds) > 64:
        parser.error("counts must be at least 1, threads at most 64")
    if args.size * 256 < max(PAGES):
        parser.error(f"--size {args.size}: at least 4, for {max(PAGES)} pages")
    if args.update and args.quick:
        parser.error("--update writes real figures: not with --quick")
    return args


def command(args):
    words = [f"--{name}={getattr(args, name.replace('-', '_'))}" for name in DEFAULTS]
    return report.command_line("commit.py", words + (["--update"] if args.update else []))


class Bench:
    """Everything of one run; `stack` takes it down in reverse order."""

    def __init__(self, args, stack):
        self.args = args
        systems.need_fuse()
        self.ops = os.path.abspath(args.ops or os.path.join(args.build, "tests/bench/commit_ops"))
        if not os.access(self.ops, os.X_OK):
            raise Missing(f"{self.ops}: not found; build it, or name it with --ops")
        where = systems.Workplace(args.dir, stack)
        # zcfs, ext4's file and its two of the rename way, and the databases with twice the space.
        where.find_room(14 * args.size + 4 * max(args.crowds) * args.thread_size + 512)
        host, self.host_fs = where.host, where.host_fs
        self.places = {
            "zcfs": systems.Zcfs(os.path.join(host, "zcfs"), os.path.abspath(args.build)),
            "host": systems.Host("ext4", "ext4", os.path.join(host, "host")),
        }
        for place in self.places.values():
            stack.callback(place.abort)
            place.start()

    def call(self, place, *words):
        """Runs commit_ops."""
        status, out, err = systems.call([self.ops, *words], place.abort, CALL_SECONDS,
                                        f"{place.key}: commit_ops {words[0]}")
        if status:
            kind = Missing if "built without" in err else BenchError
            raise kind(f"{place.key}: {words[0]} {words[1]}: {err.strip() or status}")
        return [float(word) for word in out.split()]

    def settle(self):
        """Nothing of one series' work is left for the time of the next."""
        for place in self.places.values():
            self.call(place, "settle", place.dir)

    def fill(self):
        zcfs = self.places["zcfs"]
        self.call(zcfs, "policy", zcfs.dir)
        filled = set()
        for one in SERIES:
            name = "data" if one.way in BASES else one.way
            if (one.place, name) not in filled:
                say(f"making the pages: {one.label}")
                place = self.places[one.place]
                self.call(place, "fill", one.way, place.dir, self.args.size)
                filled.add((one.place, name))
        self.settle()

    def measure(self, one, pages, seed):
        place = self.places[one.place]
        commits, seconds, middle, slow = self.call(
            place, "run", one.way, place.dir, self.args.size, pages, self.args.seconds, seed)
        self.settle()
        return {"us": seconds / commits * 1e6, "commits": commits, "p50": middle, "p99": slow}

    def measure_crowd(self, place, threads):
        commits, seconds, *_ = self.call(place, "threads", place.dir, threads, self.args.seconds,
                                         self.args.thread_size)
        self.settle()
        return commits / seconds

    def measure_all(self):
        """({pages: {series: [figures of each round]}}, {threads: {place: [commits/s]}})."""
        commits = {pages: {one.key: [] for one in SERIES} for pages in PAGES}
        crowds = {count: {key: [] for key in self.places} for count in self.args.crowds}
        self.fill()
        for place in self.places.values():
            self.measure_crowd(place, max(self.args.crowds))  # makes the files
        for turn in range(self.args.rounds):
            say(f"round {turn + 1} of {self.args.rounds}")
            shift = turn % len(SERIES)
            for pages in PAGES:
                for one in SERIES[shift:] + SERIES[:shift]:
                    commits[pages][one.key].append(self.measure(one, pages, turn + 1))
            for count in self.args.crowds:
                for key in sorted(self.places, reverse=turn % 2 == 1):
                    crowds[count][key].append(self.measure_crowd(self.places[key], count))
        for place in self.places.values():
            place.stop()
        return commits, crowds


def times(found, key):
    return [one["us"] for one in found[key]]


def ratio(found, base, peer):
    """How many times faster the base is, round by round."""
    return report.ratios(times(found, peer), times(found, base))


def ratio_rows(commits):
    rows = []
    for pages, found in commits.items():
        for way in BASES:
            peers = [f"ext4-{way}", "ext4-rename", "sqlite", "lmdb"]
            rows.append([f"{pages:,}, {way}"] + [
                report.cell(ratio(found, f"zcfs-{way}", peer), report.number) for peer in peers])
    return rows


def crowd_rows(crowds):
    rows = []
    first = crowds[min(crowds)]["zcfs"]
    for count, found in crowds.items():
        rows.append([str(count)] + [report.cell(report.spread(found[key]), report.number)
                                    for key in ("zcfs", "host")] +
                    [report.cell(report.ratios(found["zcfs"], found["host"]), report.number),
                     report.cell(report.ratios(found["zcfs"], first), report.number)])
    return rows


def markdown(commits, crowds, facts, args):
    labels = [one.label for one in SERIES]
    values = [[f"{pages:,}"] + [report.cell(report.spread(times(found, one.key)), report.number)
                                for one in SERIES] for pages, found in commits.items()]
    parts = [
        "Made by:", f"```sh\n{command(args)}\n```",
        "\n".join(f"* {name}: {value}" for name, value in facts.items()),
        f"Microseconds for a commit of so many scattered pages of {args.size} MiB: median of the "
        "rounds (least..most); less is better.",
        report.table(["pages"] + labels, values),
        "How many times faster a commit of zcfs is, in the same round; below 1 it is slower.",
        report.table(["pages, zcfs by", "ext4 the same way (not atomic)", "ext4, new file + rename",
                      "SQLite", "LMDB"], ratio_rows(commits)),
        "Commits of one page per second, each thread with a file of its own.",
        report.table(["threads", "zcfs", "ext4 (not atomic)", "zcfs / ext4",
                      f"zcfs / zcfs with {min(crowds)}"], crowd_rows(crowds)),
    ]
    if args.update and shutil.which("gnuplot"):
        parts.append(f"![Time of a commit, and commits by many threads]({PLOT})")
    return "\n\n".join(parts) + "\n"


def document(commits, crowds, facts, args):
    """What --json writes: every figure of every round."""
    return {
        "command": command(args), "facts": facts,
        "series": [one._asdict() for one in SERIES],
        "commits": [{"pages": pages, "rounds": found,
                     "microseconds": {key: report.spread(times(found, key)) for key in found},
                     "times_faster": {f"{base}/{peer.key}": ratio(found, base, peer.key)
                                      for base in ("zcfs-pwrite", "zcfs-mmap") for peer in SERIES
                                      if peer.place == "host"}}
                    for pages, found in commits.items()],
        "threads": [{"threads": count, "rounds": found,
                     "commits_per_second": {key: report.spread(found[key]) for key in found},
                     "ratio": report.ratios(found["zcfs"], found["host"])}
                    for count, found in crowds.items()],
    }


def say(text):
    print(f"commit: {text}", file=sys.stderr, flush=True)


def bench(args):
    with contextlib.ExitStack() as stack:
        run = Bench(args, stack)
        commits, crowds = run.measure_all()
        facts = report.facts(run.host_fs, "", args.rounds)
        facts.pop("cold means")
    print(markdown(commits, crowds, facts, args), end="")
    if args.json:
        report.write_json(args.json, document(commits, crowds, facts, args))
    series = {one.label: {pages: report.spread(times(commits[pages], one.key)) for pages in PAGES}
              for one in SERIES}
    lines = {label: {count: report.spread(found[key]) for count, found in crowds.items()}
             for key, label in (("zcfs", "zcfs"), ("host", "ext4 (not atomic)"))}
    path = args.plot or (os.path.join(report.DOCS, PLOT) if args.update else None)
    if path and not plot(path, series, lines):
        say("no plot: gnuplot is not installed (package gnuplot-nox)")
    if args.update:
        report.update_document(report.DOCUMENT, markdown(commits, crowds, facts, args), "commit",
                               "commit.py")


def main():
    return report.program("commit", parse(sys.argv[1:]), bench)


if __name__ == "__main__":
    sys.exit(main())
