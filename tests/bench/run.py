#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares zcfs with ext4, tmpfs, and FUSE servers that pass through to the host filesystem.

One command makes every comparison of docs/PERFORMANCE.md, save those of commit.py and live.py. The
operations are in groups.py, memory.py and programs.py, the systems in peers.py, how they take turns in
runner.py, what is made of the figures in report.py.
"""

import argparse
import contextlib
import json
import os
import re
import sys
import tempfile

# A run must not write into the source tree.
sys.dont_write_bytecode = True

import groups
import memory
import peers
import plots
import programs
import report
import runner
import systems
from plan import Figure, Group
from runner import say
from systems import BenchError

PLOTS = "plots"
# Left out where only is seen whether all runs: others differ from them by an option.
PEERS_ALIKE = ("passthrough_ll", "passthrough_ll:always", "zcfs:read=map", "zcfs:write=copy")
# files and middle: small files of 4 and 64 KiB, large: of 1 MiB; size and others in MiB.
DEFAULTS = {"rounds": 5, "big_rounds": 3, "files": 4000, "middle": 1000, "large": 128, "size": 1024, "reads": 2000,
            "writes": 1000, "random_size": 256, "commits": 200, "mode_rounds": 3, "mode_size": 512,
            "inodes": 1000000, "memory_rounds": 1, "program_rounds": 3}
QUICK = {"rounds": 1, "big_rounds": 1, "files": 40, "middle": 4, "large": 2, "size": 4, "reads": 20, "writes": 20,
         "random_size": 4, "commits": 5, "mode_rounds": 1, "mode_size": 4, "inodes": 400,
         "memory_rounds": 1, "program_rounds": 1}
HELP = {"files": "small files in one directory", "middle": "files of 64 KiB",
        "large": "files of 1 MiB", "size": "MiB of the big file", "reads": "cold reads at random",
        "writes": "random writes before one fsync", "inodes": "that the kernel is to know",
        "random_size": "MiB of the file of random writes", "mode_size": "MiB of the modes' file"}


def all_groups(args):
    whole = Group("programs", "Whole programs", [*peers.FUSE, "ext4"],
                  programs.operations(args.quick), programs.aims(), rounds="program_rounds")
    return [groups.files_group(), groups.sizes_group(), groups.big_group(), groups.commit_group(),
            groups.modes_group(), memory.group(args), whole]


def plan(args):
    """The groups, with what --group, --only and --systems leave of them."""
    wanted = args.group.split(",") if args.group else None
    made = all_groups(args)
    unknown = set(wanted or []) - {group.name for group in made}
    if unknown:
        raise BenchError(f"--group {args.group}: they are: {' '.join(one.name for one in made)}")
    chosen = [group._replace(operations=[op for op in group.operations
                                         if re.search(args.only, op.name)])
              for group in made if not wanted or group.name in wanted]
    chosen = [group for group in chosen if group.operations]
    if not chosen:
        names = " ".join(op.name for group in made for op in group.operations)
        raise BenchError(f"--only {args.only}: matches no operation; they are: {names}")
    wanted = peers.select(args.systems) if args.systems else \
        [key for key in peers.NAMES if key not in PEERS_ALIKE] if args.quick else None
    return groups.check_systems(chosen, wanted)


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.environ.get("ZC_BUILD", "build"), metavar="DIR",
                        help="where zcfs was built (ZC_BUILD, or build)")
    parser.add_argument("--dir", default=tempfile.gettempdir(), metavar="DIR",
                        help="a directory of the host filesystem to work in (TMPDIR)")
    parser.add_argument("--group", default="", metavar="LIST", help="only these groups: files, sizes, "
                        "big, commit, modes, memory, programs")
    parser.add_argument("--only", default="", metavar="REGEX", help="only operations of such names")
    parser.add_argument("--systems", default="", metavar="LIST", help="only these: " +
                        ", ".join(peers.NAMES) + "; ratios are those of a group's first")
    for name in DEFAULTS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N",
                            help=HELP.get(name))
    parser.add_argument("--cold", choices=["auto", "drop", "remount"], default="auto",
                        help="by drop_caches (root), or by mounting again")
    parser.add_argument("--no-counts", dest="counts", action="store_false",
                        help="do not count system calls")
    parser.add_argument("--json", metavar="FILE", help="write all figures there, after each group")
    parser.add_argument("--resume", action="store_true",
                        help="do not measure groups again that the file of --json has")
    parser.add_argument("--plots", metavar="DIR", help="write the plots there, if gnuplot is here")
    parser.add_argument("--update", action="store_true", help="put the tables into "
                        "docs/PERFORMANCE.md, the plots beside it")
    parser.add_argument("--quick", action="store_true", help="tiny counts: only shows that "
                        "everything runs; exits 77 if a prerequisite is missing, unless CI=true")
    parser.add_argument("--ops", metavar="PROGRAM", help="a built ops, instead of building it")
    args = parser.parse_args(argv)
    for name, value in (QUICK if args.quick else DEFAULTS).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    try:
        re.compile(args.only)
    except re.error as err:
        parser.error(f"--only {args.only}: not a regular expression: {err}")
    if args.update and (args.quick or args.only or args.systems or args.group and not args.resume):
        parser.error("--update writes the whole comparison: not with --quick, --only, --systems or "
                     "--group")
    if args.resume and not args.json:
        parser.error("--resume needs the file of --json")
    return args


def command(args):
    """What repeats this run: every count that is not the usual one, and what was left out."""
    words = [f"--{name.replace('_', '-')}={getattr(args, name)}" for name in DEFAULTS
             if getattr(args, name) != DEFAULTS[name]]
    for name, usual in (("cold", "auto"), ("group", ""), ("only", ""), ("systems", "")):
        if getattr(args, name) != usual:
            words.append(f"--{name}={getattr(args, name)}")
    return report.command_line("run.py", words + (["--update"] if args.update else []))


def counts(args):
    """What figures of another run must have been made with, to be put beside those of this one."""
    return {name: getattr(args, name) for name in DEFAULTS}


def load(args):
    """The groups that an earlier run has measured."""
    if not args.resume or not os.path.exists(args.json):
        return {}
    with open(args.json, encoding="utf-8") as text:
        old = json.load(text)
    if old.get("counts") != counts(args):
        raise BenchError(f"{args.json}: was made with other counts: {old.get('counts')}")
    for group in old["groups"].values():
        group["figures"] = {op: {key: [one and Figure(**one) for one in rounds]
                                 for key, rounds in values.items()}
                            for op, values in group["figures"].items()}
    return old["groups"]


def room(args):
    """MiB: each system's file, and once more what is replaced, which is free after the next commit."""
    if args.quick:
        return 2048
    return 10 * 2 * args.size + 9 * 2 * args.random_size + 6 * 2 * args.mode_size + 4096


def save(args, made):
    if args.json:
        report.write_json(args.json, dict(made.json(), counts=counts(args)))


def picture(args, made):
    """The plots, and their names for the document."""
    where = args.plots or (os.path.join(report.DOCS, PLOTS) if args.update else None)
    drawn = []
    for name in made.data if where else []:
        file = f"bench-{name}.svg"
        if plots.group(made, name, os.path.join(where, file)):
            drawn.append((name, f"{PLOTS}/{file}"))
    return drawn


def bench(args):
    chosen = plan(args)
    names = [group.name for group in all_groups(args)]
    aims = [] if args.only or args.systems else [aim for group in chosen for aim in group.aims]
    data = load(args)
    with contextlib.ExitStack() as stack:
        if any(key not in ("ext4", "tmpfs") for group in chosen for key in group.systems):
            systems.need_fuse()
        place = systems.Workplace(args.dir, stack)
        place.find_room(room(args))
        kept = runner.prepare(args, place)
        if not kept["count"]:
            args.counts = False
            say("system calls are not counted: no perf, or it may not trace")
        facts = report.facts(place.host_fs + systems.journal(place.host), systems.Cold(args.cold).describe(), args.rounds)
        facts.update(peers.describe())
        for group in chosen:
            if group.name not in data:
                data[group.name] = runner.run_group(args, group, place, kept)
            data = {name: data[name] for name in names if name in data}
            save(args, report.Report(data, aims, facts, command(args)))
    made = report.Report(data, aims, facts, command(args))
    made.plots = picture(args, made)
    print(made.markdown(), end="")
    if args.update:
        report.update_document(report.DOCUMENT, made.markdown(), "bench", "run.py")


def main():
    args = parse(sys.argv[1:])
    return report.program("bench", args, bench)


if __name__ == "__main__":
    sys.exit(main())
