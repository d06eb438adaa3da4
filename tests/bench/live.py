#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares live files with bare memory, with tmpfs, and their commits with ext4 on the same disk.

Everything lies below one directory of the host filesystem. What is compared takes turns in each round;
ratios are taken within a round, and what is judged is their median. The measurements are in
live_ops.c; what is mounted here is taken down again, whatever happens.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time

# A run must not write into the source tree.
sys.dont_write_bytecode = True

import report
import systems
from systems import BenchError, Missing

CALL_SECONDS = 1800
PAGES = [1, 100, 1000, 10000]
MEMORY = ["live", "memfd", "tmpfs"]
KINDS = ["read, 1 MiB", "write, 1 MiB", "read, 4 KiB at random", "write, 4 KiB at random",
         "sendfile to memory", "mmap, store", "mmap, load", "mmap and first touch"]
COMMITS = [("live", "live, zc_commit"), ("sync", "passthrough, fsync (compares all)"),
           ("msync", "ext4, mmap + msync (not atomic)"),
           ("pwrite", "ext4, pwrite + fsync (not atomic)")]
DEFAULTS = {"rounds": 7, "size": 1024, "memory": 256, "small": 64, "large": 4096}
QUICK = {"rounds": 1, "size": 64, "memory": 8, "small": 48, "large": 64}


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.environ.get("ZC_BUILD", "build"), metavar="DIR",
                        help="where zcfs was built (ZC_BUILD, or build)")
    parser.add_argument("--dir", default=tempfile.gettempdir(), metavar="DIR",
                        help="a directory of the host filesystem to work in (TMPDIR)")
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--size", type=int, metavar="MIB", help="of the file that is committed")
    parser.add_argument("--memory", type=int, metavar="MIB", help="of the files of bandwidths")
    parser.add_argument("--small", type=int, metavar="MIB", help="of the smaller image")
    parser.add_argument("--large", type=int, metavar="MIB", help="of the larger image")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--update", action="store_true",
                        help="put the tables into docs/PERFORMANCE.md")
    parser.add_argument("--quick", action="store_true", help="tiny counts: only shows that "
                        "everything runs; exits 77 if a prerequisite is missing, unless CI=true")
    parser.add_argument("--ops", metavar="PROGRAM", help="live_ops, if not that of the build")
    args = parser.parse_args(argv)
    for name, value in (QUICK if args.quick else DEFAULTS).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if args.rounds < 1 or min(args.size, args.small, args.large) * 256 < max(PAGES):
        parser.error(f"at least one round, and at least 40 MiB, for {max(PAGES)} pages")
    if args.update and args.quick:
        parser.error("--update writes real figures: not with --quick")
    return args


def command(args):
    words = [f"--{name}={getattr(args, name)}" for name in DEFAULTS]
    return report.command_line("live.py", words + (["--update"] if args.update else []))


class Mounted(systems.Zcfs):
    """A zcfs that commits when it is asked to."""

    def __init__(self, key, base, build, limit, *options):
        super().__init__(base, build)
        self.key = key
        self.argv += ["-o", ",".join(["policy=explicit", "commit=0", f"live_limit={limit}M",
                                      *options])]


class Bench:
    """Everything of one run; `stack` takes it down in reverse order."""

    def __init__(self, args, stack):
        self.args = args
        systems.need_fuse()
        if os.geteuid() != 0:
            raise Missing("this has to run as root: it drops caches, and passes files through")
        self.ops = os.path.abspath(args.ops or os.path.join(args.build, "tests/bench/live_ops"))
        if not os.access(self.ops, os.X_OK):
            raise Missing(f"{self.ops}: not found; build it, or name it with --ops")
        place = systems.Workplace(args.dir, stack)
        place.find_room(10 * args.size + 3 * args.large + 3 * args.small + 4 * args.memory + 1024)
        host, self.host_fs = place.host, place.host_fs
        limit = 3 * (args.size + args.large + args.small + args.memory)
        build = os.path.abspath(args.build)
        self.tmpfs = os.path.join(place.top, "tmpfs")
        os.mkdir(self.tmpfs)
        systems.run(["mount", "-t", "tmpfs", "-o", f"size={4 * args.memory + 64}M", "zcfs-bench",
                     self.tmpfs])
        stack.callback(systems.unmount, self.tmpfs)
        self.live = Mounted("live", os.path.join(host, "live"), build, limit)
        self.passed = Mounted("passthrough", os.path.join(host, "passthrough"), build, limit,
                              "passthrough=all")
        self.host = systems.Host("ext4", "ext4", os.path.join(host, "host"))
        self.places = [self.live, self.passed, self.host]
        for place in self.places:
            stack.callback(place.abort)
            place.start()

    def abort(self):
        for place in self.places:
            place.abort()

    def call(self, *words):
        """Runs live_ops: a list of numbers for each line. If it hangs, so does a server: all end."""
        status, out, err = systems.call([self.ops, *words], self.abort, CALL_SECONDS,
                                        f"live_ops {words[0]}")
        if status:
            raise BenchError(f"{words[0]} {words[1]}: {err.strip() or status}")
        return [[float(word) for word in line.split()] for line in out.splitlines()]

    # ---- what is measured

    def memory(self):
        """{"store" and "load": {kind: [MB/s of each round]}}."""
        rows = self.call("memory", f"{self.live.dir}/memory", f"{self.tmpfs}/memory",
                         self.args.memory, max(self.args.rounds * 3, 3))
        return {what: {kind: [row[2 * k + n] for row in rows] for k, kind in enumerate(MEMORY)}
                for n, what in enumerate(("store", "load"))}

    def files(self):
        rows = self.call("files", f"{self.passed.dir}/files", f"{self.tmpfs}/files",
                         self.args.memory, max(self.args.rounds * 3, 3))
        return {kind: {"passthrough": [row[2 * k] for row in rows],
                       "tmpfs": [row[2 * k + 1] for row in rows]} for k, kind in enumerate(KINDS)}

    def commits(self):
        """{pages: {way: [microseconds of each round]}}. Each round opens the files anew."""
        found = {pages: {way: [] for way, _ in COMMITS} for pages in PAGES}
        paths = {"live": self.live.dir, "sync": self.passed.dir, "msync": self.host.dir,
                 "pwrite": self.host.dir}
        for way in ("live", "sync", "msync"):
            self.call("make", f"{paths[way]}/commit", self.args.size)
        for turn in range(self.args.rounds):
            say(f"commits, round {turn + 1} of {self.args.rounds}")
            shift = turn % len(COMMITS)
            for way, _ in COMMITS[shift:] + COMMITS[:shift]:
                os.sync()
                rows = self.call(way, f"{paths[way]}/commit", self.args.size, 3, *PAGES)
                for k, pages in enumerate(PAGES):
                    found[pages][way].append(statistics.median(row[k] for row in rows))
        return found

    def sizes(self):
        """{"small" and "large": [microseconds of a commit of 100 pages, each round]}."""
        found = {"small": [], "large": []}
        for which in found:
            self.call("make", f"{self.live.dir}/{which}", getattr(self.args, which))
        for turn in range(self.args.rounds):
            say(f"sizes, round {turn + 1} of {self.args.rounds}")
            for which in sorted(found, reverse=turn % 2 == 1):
                rows = self.call("live", f"{self.live.dir}/{which}", getattr(self.args, which), 9,
                                 100)
                found[which].append(statistics.median(row[0] for row in rows))
        return found

    def golive(self):
        """Seconds for each GiB: to go live, and to read the same from ext4, both cold."""
        found = {"live": [], "ext4": []}
        gib = self.args.size / 1024
        for turn in range(self.args.rounds):
            say(f"going live, round {turn + 1} of {self.args.rounds}")
            for which in sorted(found, reverse=turn % 2 == 1):
                self.wait_retired()
                os.sync()
                systems.Cold("drop").chill(self.host, 3)
                path = f"{(self.live if which == 'live' else self.host).dir}/commit"
                words = ("golive" if which == "live" else "read", path)
                found[which].append(self.call(*words)[0][0] / gib)
        return found

    def wait_retired(self):
        """The images of clients that have ended are given up within seconds."""
        for _ in range(600):
            text = systems.run([self.live.zcctl, "live", "--json", self.live.dir])
            if not json.loads(text)["images"]:
                return
            time.sleep(0.1)
        raise BenchError("an image without a client stays")

    def stop(self):
        for place in self.places:
            place.stop()


def middle(values):
    return statistics.median(values)


def verdicts(found, args):
    """[(what was aimed at, figure, reached?)]"""
    lines = []
    for what, rates in found["memory"].items():
        for peer in MEMORY[1:]:
            ratio = report.ratios(rates["live"], rates[peer])["median"]
            lines.append((f"{what} through a live mapping, to {peer}: at least 0.98",
                          f"{ratio:.3f}", ratio >= 0.98))
    sizes = found["sizes"]
    mapped = 400 * args.large / 1024
    large, bound = middle(sizes["large"]), 1.3 * middle(sizes["small"]) + mapped
    lines.append((f"commit of 100 pages of {args.large} MiB: at most 1.3 times that of "
                  f"{args.small} MiB, and 0.4 ms for each GiB",
                  f"{large:.0f} us, bound {bound:.0f} us", large <= bound))
    one = found["commits"][1000]
    ratio = report.ratios(one["pwrite"], one["live"])["median"]
    lines.append(("commit of 1,000 pages: at least 3 times faster than pwrite + fsync on ext4",
                  f"{ratio:.2f}", ratio >= 3))
    for kind, rates in found["files"].items():
        ratio = report.ratios(rates["passthrough"], rates["tmpfs"])["median"]
        lines.append((f"{kind}, passthrough to tmpfs: at least 0.95", f"{ratio:.3f}",
                      ratio >= 0.95))
    return lines


def rates_table(rates, base, peers, first):
    def cells(row):
        return ([report.cell(report.spread(row[key]), report.number) for key in (base, *peers)] +
                [report.cell(report.ratios(row[base], row[key]), "{:.3f}".format)
                 for key in peers])
    return report.table([first, base, *peers, *(f"{base} / {peer}" for peer in peers)],
                        [[what] + cells(row) for what, row in rates.items()])


def markdown(found, facts, args):
    commits = [[f"{pages:,}"] + [report.cell(report.spread(row[way]), report.number)
                                 for way, _ in COMMITS] for pages, row in found["commits"].items()]
    times = [[f"{pages:,}"] + [report.cell(report.ratios(row[way], row["live"]), report.number)
                               for way, _ in COMMITS[1:]]
             for pages, row in found["commits"].items()]
    sizes = [[f"{getattr(args, which):,} MiB", report.cell(report.spread(values), report.number)]
             for which, values in found["sizes"].items()]
    live = found["golive"]
    parts = [
        "Made by:", f"```sh\n{command(args)}\n```",
        "\n".join(f"* {name}: {value}" for name, value in facts.items()),
        "Live mapping, bare memfd and tmpfs, MB (10^6) for each second of CPU time, user and system: "
        "median of the rounds (least..most).",
        rates_table(found["memory"], "live", MEMORY[1:], "memory"),
        f"Microseconds for a commit of so many scattered pages of {args.size} MiB, the stores or "
        "writes included; less is better.",
        report.table(["pages"] + [label for _, label in COMMITS], commits),
        "How many times faster zc_commit is, in the same round.",
        report.table(["pages"] + [label for _, label in COMMITS[1:]], times),
        "Microseconds for a commit of 100 pages, by the size of the image, all of it mapped.",
        report.table(["image", "us"], sizes),
        "Seconds for each GiB, cold.",
        report.table(["going live", "reading the file on ext4", "ext4 / live"],
                     [[report.cell(report.spread(live["live"]), report.number),
                       report.cell(report.spread(live["ext4"]), report.number),
                       report.cell(report.ratios(live["ext4"], live["live"]), report.number)]]),
        "A file that is passed through, and one of tmpfs, MB for each second of CPU time.",
        rates_table(found["files"], "passthrough", ["tmpfs"], "access"),
        "What was aimed at:",
        report.aims_table(verdicts(found, args)),
    ]
    return "\n\n".join(parts) + "\n"


def say(text):
    print(f"live: {text}", file=sys.stderr, flush=True)


def bench(args):
    with contextlib.ExitStack() as stack:
        run = Bench(args, stack)
        found = {}
        for name in ("memory", "files", "commits", "golive", "sizes"):
            say(name)
            found[name] = getattr(run, name)()
        run.stop()
        facts = report.facts(run.host_fs, "drop_caches of the whole kernel", args.rounds)
    print(markdown(found, facts, args), end="")
    if args.json:
        report.write_json(args.json, {
            "command": command(args), "facts": facts, "found": found,
            "aims": [{"aim": what, "found": figure, "reached": good}
                     for what, figure, good in verdicts(found, args)]})
    if args.update:
        report.update_document(report.DOCUMENT, markdown(found, facts, args), "live", "live.py")


def main():
    return report.program("live", parse(sys.argv[1:]), bench)


if __name__ == "__main__":
    sys.exit(main())
