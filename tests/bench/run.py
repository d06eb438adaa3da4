#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares zcfs with libfuse's example passthrough_ll over the host filesystem, and with that.

The systems take turns at every operation (A B C, then B C A in the next round), so that what
disturbs the machine for a while disturbs all of them, and a ratio is taken within a round. What is
mounted or started here is taken down again, whatever happens.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import NamedTuple

# A run must not write into the source tree.
sys.dont_write_bytecode = True

import report
import systems
from systems import BenchError, Missing

HERE = os.path.dirname(os.path.abspath(__file__))
DOCUMENT = os.path.join(HERE, "..", "..", "docs", "PERFORMANCE.md")
OPERATION_SECONDS = 600
NAMES_COLD, DATA_COLD = 2, 3
DEFAULTS = {"rounds": 5, "files": 4000, "size": 256, "commits": 200, "writes": 1000}
QUICK = {"rounds": 1, "files": 50, "size": 8, "commits": 5, "writes": 50}


class Operation(NamedTuple):
    """name: for --only and JSON; call: what ops is told; count: the option that says how many."""
    name: str
    title: str
    unit: str
    call: str
    count: str
    cold: int = 0


FILE_OPERATIONS = [
    Operation("create", "create + write 4 KiB + close", "files/s", "create", "files"),
    Operation("stat-warm", "stat, warm", "files/s", "stat-warm", "files"),
    Operation("stat-cold", "stat, cold", "files/s", "stat-once", "files", NAMES_COLD),
    Operation("read-warm", "open + read 4 KiB + close, warm", "files/s", "read-warm", "files"),
    Operation("read-cold", "open + read 4 KiB + close, cold", "files/s", "read-once", "files",
              DATA_COLD),
    Operation("list-cold", "list a directory, cold", "entries/s", "list-once", "files",
              NAMES_COLD),
    Operation("unlink", "unlink", "files/s", "unlink", "files"),
]
BIG_OPERATIONS = [
    Operation("seq-write", "sequential write + fsync", "MB/s", "seq-write", "size"),
    Operation("seq-read-cold", "sequential read, cold", "MB/s", "seq-read-once", "size",
              DATA_COLD),
    Operation("seq-read-warm", "sequential read, warm", "MB/s", "seq-read-warm", "size"),
    Operation("sendfile-warm", "sendfile to a loopback socket, warm", "MB/s", "sendfile-warm",
              "size"),
    Operation("random-write", "random 4 KiB writes + one fsync", "writes/s", "random-write",
              "writes"),
    Operation("remove-big", "", "", "remove-big", "size"),
]
COMMIT_OPERATIONS = [
    Operation("commit", "4 KiB write + fsync", "commits/s", "commit", "commits"),
]
OPERATIONS = FILE_OPERATIONS + BIG_OPERATIONS + COMMIT_OPERATIONS


def plan(only):
    """(operation, is it reported) in order: what `only` matches, and what that needs around it."""
    def wanted(op):
        return bool(op.unit) and re.search(only, op.name) is not None

    steps = []
    for group in (FILE_OPERATIONS, BIG_OPERATIONS, COMMIT_OPERATIONS):
        if any(wanted(op) for op in group):
            # The first of a group makes the files, the last removes them.
            steps += [(op, wanted(op)) for op in group
                      if wanted(op) or op in (group[0], group[-1])]
    if not steps:
        names = " ".join(op.name for op in OPERATIONS if op.unit)
        raise BenchError(f"--only {only}: matches no operation; they are: {names}")
    return steps


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.environ.get("ZC_BUILD", "build"), metavar="DIR",
                        help="where zcfs was built (ZC_BUILD, or build)")
    parser.add_argument("--dir", default=tempfile.gettempdir(), metavar="DIR",
                        help="a directory of the host filesystem to work in (TMPDIR)")
    parser.add_argument("--systems", default="zcfs,passthrough_ll,ext4", metavar="LIST",
                        help="zcfs, passthrough_ll or one of its variants passthrough_ll:default, "
                        ":always, :writeback, ext4; ratios are those of the first")
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--files", type=int, metavar="N", help="small files in one directory")
    parser.add_argument("--size", type=int, metavar="MIB", help="size of the big file")
    parser.add_argument("--commits", type=int, metavar="N")
    parser.add_argument("--writes", type=int, metavar="N", help="random writes before one fsync")
    parser.add_argument("--only", default="", metavar="REGEX", help="operations to measure")
    parser.add_argument("--cold", choices=["auto", "drop", "remount"], default="auto",
                        help="by drop_caches (root), or by mounting again")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--update", action="store_true", help="put the tables into "
                        "docs/PERFORMANCE.md")
    parser.add_argument("--quick", action="store_true", help="tiny counts: only shows that "
                        "everything runs; exits 77 if a prerequisite is missing, unless CI=true")
    parser.add_argument("--ops", metavar="PROGRAM", help="a built ops, instead of building it")
    args = parser.parse_args(argv)
    for name, value in (QUICK if args.quick else DEFAULTS).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1")
    try:
        re.compile(args.only)
    except re.error as err:
        parser.error(f"--only {args.only}: not a regular expression: {err}")
    if args.update and (args.quick or args.only or args.systems != parser.get_default("systems")):
        parser.error("--update writes the whole comparison: not with --quick, --only or --systems")
    return args


def command(args):
    """What repeats this run, with every count spelled out."""
    words = [f"--{name}={getattr(args, name)}" for name in DEFAULTS]
    if args.cold != "auto":
        words.append(f"--cold={args.cold}")
    if args.only:
        words.append(f"--only={args.only}")
    if args.systems != "zcfs,passthrough_ll,ext4":
        words.append(f"--systems={args.systems}")
    return report.command_line(words + (["--update"] if args.update else []))


class Bench:
    """Everything of one run; `stack` takes it down in reverse order."""

    def __init__(self, args, stack):
        self.args = args
        self.stack = stack
        self.cold = systems.Cold(args.cold)
        self.top = os.path.realpath(tempfile.mkdtemp(prefix="zcfs-bench.", dir=args.dir))
        stack.callback(self.remove_top)
        self.host = self.top
        self.host_fs = systems.fs_type(self.top)
        self.systems = []
        self.ops = None

    def remove_top(self):
        held = [point for point, _ in systems.mounts() if point.startswith(self.top + "/")]
        if held:
            raise BenchError(f"{held[0]}: still mounted; unmount it and remove {self.top}")
        shutil.rmtree(self.top)

    def prepare(self):
        """Builds the programs, finds room, starts the systems."""
        chosen = systems.select(self.args.systems)
        if chosen != ["ext4"]:
            systems.need_fuse()
        tools = os.path.join(self.top, "tools")
        os.mkdir(tools)
        # Absolute, since it is run from a directory of its own.
        self.ops = os.path.abspath(self.args.ops) if self.args.ops else systems.compile_c(
            [os.path.join(HERE, "ops.c"), os.path.join(HERE, "ops_big.c")],
            os.path.join(tools, "ops"))
        binary = None
        if any(key in systems.PASSTHROUGH for key in chosen):
            systems.raise_file_limit(self.args.files)
            binary = systems.build_passthrough(tools)
        self.find_room(len(chosen))
        for key in chosen:
            system = self.make(key, binary)
            self.stack.callback(system.abort)
            say(f"starting {system.label}")
            system.start()
            self.systems.append(system)

    def find_room(self, count):
        """Takes an ext4 image if the host directory is on something else and this is root."""
        # Twice, since a replaced page is free only after the next commit, and room for small files.
        spare = 96 if self.args.quick else 256
        mib = count * (2 * self.args.size + self.args.files // 64 + spare)
        free = shutil.disk_usage(self.top).free >> 20
        if free < mib:
            raise BenchError(f"{self.args.dir}: {free} MiB free, {mib} MiB needed; "
                             "use another --dir or a smaller --size")
        if self.host_fs == "ext4" or os.geteuid() != 0:
            return
        image = systems.LoopExt4(self.top, mib + 1024)
        self.stack.callback(image.unmount)
        try:
            self.host = image.mount()
            self.host_fs = f"ext4 on a loop device over {self.host_fs}"
        except BenchError as err:
            say(f"no ext4 image: {err}; taking {self.host_fs} for the host")

    def make(self, key, binary):
        base = os.path.join(self.host, key.replace(":", "-"))
        if key == "zcfs":
            return systems.Zcfs(base, os.path.abspath(self.args.build))
        if key == "ext4":
            return systems.Host(key, "ext4" if "ext4" in self.host_fs else self.host_fs, base)
        return systems.passthrough(base, key, binary)

    def call(self, system, name, where, count, seed=0):
        """Runs ops in `where`. If that hangs, only the end of the server frees the child."""
        child = subprocess.Popen([self.ops, name, where, str(count), str(seed)], text=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, start_new_session=True)
        try:
            out, err = child.communicate(timeout=OPERATION_SECONDS)
        except BaseException as why:
            system.abort()
            child.kill()
            child.communicate()
            if isinstance(why, subprocess.TimeoutExpired):
                raise BenchError(f"{system.key}: {name}: not done after "
                                 f"{OPERATION_SECONDS} s") from None
            raise
        if child.returncode:
            raise BenchError(f"{system.key}: {name}: {err.strip() or child.returncode}")
        done, size, seconds = out.split()
        return int(done), int(size), float(seconds)

    def settle(self, system):
        """Nothing of one system's work is left for the time of the next."""
        for where in (system.dir, self.host):
            self.call(system, "settle", where, 0)

    def measure(self, system, op, seed):
        """Operations or MB per second; None if this system cannot be made cold."""
        if op.cold and not self.cold.chill(system, op.cold):
            return None
        done, size, seconds = self.call(system, op.call, system.dir,
                                        getattr(self.args, op.count), seed)
        self.settle(system)
        if not op.unit:
            return None
        return (size / 1e6 if op.unit == "MB/s" else done) / seconds

    def measure_all(self):
        steps = plan(self.args.only)
        figures = {op.name: {system.key: [] for system in self.systems}
                   for op, reported in steps if reported}
        for turn in range(self.args.rounds):
            shift = turn % len(self.systems)
            order = self.systems[shift:] + self.systems[:shift]
            for op, reported in steps:
                if op.unit:
                    say(f"round {turn + 1} of {self.args.rounds}: {op.title}")
                for system in order:
                    value = self.measure(system, op, turn + 1)
                    if reported:
                        figures[op.name][system.key].append(value)
        for system in self.systems:
            system.stop()
        return report.Report(
            [(system.key, system.label) for system in self.systems],
            [(op.name, op.title, op.unit) for op, reported in steps if reported], figures,
            report.facts(self.host_fs, self.cold.describe(), self.args.rounds),
            command(self.args))


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def check_whole(made, remount):
    """--quick: every operation of every system has figures above zero."""
    for name, values in made.figures.items():
        for key, rounds in values.items():
            if key == "ext4" and remount and "cold" in name:
                continue
            if not rounds or any(value is None or value <= 0 for value in rounds):
                raise BenchError(f"{key}: {name}: no figures: {rounds}")


def bench(args):
    with contextlib.ExitStack() as stack:
        run = Bench(args, stack)
        run.prepare()
        made = run.measure_all()
        if args.quick:
            check_whole(made, run.cold.method == "remount")
    print(made.markdown(), end="")
    if args.json:
        made.write_json(args.json)
    if args.update:
        report.update_document(DOCUMENT, made.markdown())


def leave(number, _frame):
    sys.exit(128 + number)


def main():
    args = parse(sys.argv[1:])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    try:
        bench(args)
    except Missing as err:
        say(err)
        return 77 if args.quick and os.environ.get("CI") != "true" else 1
    except (BenchError, OSError, ValueError) as err:
        say(err)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
