# SPDX-License-Identifier: MIT
"""Runs groups of operations: the systems take turns at every operation, in another order each round.

What disturbs the machine for a while so disturbs all of them, and a ratio is taken within a round.
What is mounted or started here is taken down again, whatever happens.
"""

import contextlib
import mmap
import os
import sys
import time

import account
import peers
import systems
from plan import Figure
from systems import BenchError, Missing

HERE = os.path.dirname(os.path.abspath(__file__))
CALL_SECONDS = 900
SOURCES = ["ops.c", "ops_big.c", "ops_files.c", "ops_send.c", "ops_time.c"]
FILL_TRIES = 10
PROGRAM_MIB = 1024  # page cache that a program may fill
MADV_POPULATE_WRITE = 23


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Memory:
    """Memory that is held between operations, and given to the next right before its time begins.

    A virtual machine may return to its host what has been free for seconds, and then the first touch
    of each page costs more than all else (here 3 s for each GiB). So what an operation takes for its
    page cache has just been in use, for all systems alike, and is taken again once it is free."""

    def __init__(self, quick):
        self.quick = quick
        self.held, self.size = None, 0

    def hold(self, mib):
        spare = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
        mib = min(mib, spare // 2)
        if self.quick or mib <= self.size:
            return
        self.free()
        held = mmap.mmap(-1, mib << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):
            held.madvise(mmap.MADV_NOHUGEPAGE)  # the lists that page cache is taken from
            held.madvise(MADV_POPULATE_WRITE)
        self.held, self.size = held, mib

    def free(self):
        if self.held:
            self.held.close()
        self.held, self.size = None, 0


class Bench:
    """Everything of one group; `stack` takes it down in reverse order.

    For operations: args, tools (a directory of the host, not measured), stack, round, and the calls
    below."""

    def __init__(self, args, stack, place, kept):
        self.args = args
        self.stack = stack
        self.place = place
        self.kept = kept  # what operations have made once, for all groups
        self.cold = systems.Cold(args.cold)
        self.tools = os.path.join(place.top, "tools")
        self.program = kept.get("ops")
        self.there = {}
        self.current = None
        self.round = 0
        self.memory = Memory(args.quick)
        stack.callback(self.memory.free)

    # ---- for operations

    def call(self, argv, cwd=None, env=None, timeout=CALL_SECONDS, check=True, **more):
        """(seconds, stdout) of a program. If it hangs, the system whose turn it is is ended."""
        started = time.monotonic()
        status, out, err = systems.call(argv, self.abort, timeout,
                                        f"{self.where()}: {os.path.basename(str(argv[0]))}",
                                        cwd=cwd, env=env, **more)
        seconds = time.monotonic() - started
        if check and status:
            lines = (err or out).strip().splitlines()
            raise BenchError(f"{self.where()}: {argv[0]}: {lines[-1] if lines else status}")
        return seconds, out

    def once(self, key, function):
        """What function() gives, which is called only once in a run."""
        if key not in self.kept:
            self.kept[key] = function()
        return self.kept[key]

    def chill(self, system, what):
        """Empties caches: 2 names and inodes, 3 file data too. False if that cannot be done."""
        return self.cold.chill(system, what)

    def settle(self, system):
        """Nothing of one system's work is left for the time of the next."""
        self.ops(system, [], "settle", 0)
        if self.place.host != system.dir:
            self.ops(None, [], "settle", 0, where=self.place.host)

    def ops(self, system, options, name, count, seed=0, before=(), where=None):
        """Runs ops: (operations, bytes, seconds, own, servers' and machine's CPU seconds)."""
        _, out = self.call([*before, self.program, *options, name, where or system.dir, count, seed])
        return [float(word) for word in out.split()]

    def only_stored(self, system):
        """The system's kernel cache and its server's memory empty, the host's files in the cache."""
        if not system.remount():
            raise BenchError(f"{system.key}: has no server that could be started again")
        directory, name = system.lower_file()
        for _ in range(FILL_TRIES):
            pages, size, *_ = self.ops(None, [], "fill", 0, name, where=directory)
            if pages * 4096 >= 0.99 * size:
                break
            # A server may still be writing into its file past the cache, what it has grown by.
            time.sleep(0.2)
        else:
            raise BenchError(f"{directory}: only {pages * 4096 / size:.0%} stay in the host's cache: "
                             "more memory, or a smaller --size")
        pages, size, *_ = self.ops(system, [], "cached", 0, "big")
        if pages:
            raise BenchError(f"{system.key}: the kernel has {pages * 4096 / size:.0%} of the file")

    def abort(self):
        if self.current:
            self.current.abort()

    def where(self):
        return self.current.key if self.current else "host"

    # ---- the run itself

    def start(self, group, maker, missing):
        """The systems of a group that are there."""
        found = []
        for key in group.systems:
            try:
                system = maker.make(key, group.name)
                self.stack.callback(system.abort)
                self.current = system
                system.start()
            except Missing as err:
                self.lack(missing, str(err))
                continue
            except BenchError as err:
                if "=" not in key:
                    raise
                # A mode that this zcfs does not know.
                self.lack(missing, str(err))
                continue
            found.append(system)
            self.there[key] = set()
        self.current = None
        return found

    def lack(self, missing, text):
        if os.environ.get("CI") == "true":
            raise Missing(text)
        say(f"left out: {text}")
        missing.append(text)

    def turn(self, system, op, number):
        self.current, self.round = system, number
        op.prepare(self, system)
        if not op.settled:
            self.settle(system)
        if not op.settled:
            self.memory.free()
        meter = account.Meter(system)
        found = op.measure(self, system, number)
        if found is not None and found.machine is None:
            found = found._replace(**meter.used())
        op.finish(self, system)
        self.settle(system)
        if not op.settled:
            self.memory.hold(PROGRAM_MIB)
        self.current = None
        return found

    def count_calls(self, chosen, op):
        """{key: [servers' calls, own, how much, of what]}, in a pass that is not timed."""
        found = {}
        for system in chosen:
            self.current, self.round = system, 0
            counts = op.calls(self, system, 0)
            if counts:
                found[system.key] = counts
            self.settle(system)
        self.current = None
        return found

    def run(self, group, maker, rounds):
        """What a report is made of: see report.Report."""
        missing = []
        steps = []
        for op in group.operations:
            why = op.missing()
            if why:
                self.lack(missing, f"{op.title}: {why}")
            else:
                steps.append(op)
        chosen = self.start(group, maker, missing)
        steps = [op for op in steps if any(op.takes(system.key) for system in chosen)]
        figures = {op.name: {system.key: [] for system in chosen if op.takes(system.key)}
                   for op in steps}
        for late in (False, True):
            for number in range(rounds):
                shift = number % len(chosen)
                for op in [op for op in steps if op.late == late]:
                    say(f"{group.name}, round {number + 1} of {rounds}: {op.title}")
                    for system in chosen[shift:] + chosen[:shift]:
                        if op.takes(system.key):
                            figures[op.name][system.key].append(
                                self.turn(system, op, number + 1))
        counts = {}
        counted = [op for op in steps if self.args.counts and op.counts]
        for op in counted[:1] if self.args.quick else counted:
            say(f"{group.name}, system calls: {op.title}")
            counts[op.name] = self.count_calls(
                [system for system in chosen if op.takes(system.key)], op)
        for system in chosen:
            self.current = system
            system.stop()
        self.current = None
        return {"title": group.title, "rounds": rounds, "missing": missing,
                "systems": [[system.key, system.label] for system in chosen],
                "operations": [[op.name, op.title, op.unit, op.more] for op in steps],
                "figures": figures, "calls": counts}


def check_whole(name, data, remount):
    """--quick: every operation of every system has figures above zero."""
    for op, values in data["figures"].items():
        for key, rounds in values.items():
            if remount and "cold" in op and key in ("ext4", "tmpfs"):
                continue
            if not rounds or any(value is None or value.value <= 0 for value in rounds):
                raise BenchError(f"{name}: {key}: {op}: no figures: {rounds}")


def run_group(args, group, place, kept):
    """Systems of its own for each group, which are gone when it is done."""
    rounds = getattr(args, group.rounds)
    with contextlib.ExitStack() as stack:
        bench = Bench(args, stack, place, kept)
        largest = max(args.files + args.middle + args.large, 4000)
        maker = peers.Maker(place, args.build, bench.tools, largest, args.size)
        data = bench.run(group, maker, rounds)
        if args.quick:
            check_whole(group.name, data, bench.cold.method == "remount")
    return data


def prepare(args, place):
    """What all groups share: the tools' directory, and ops."""
    tools = os.path.join(place.top, "tools")
    os.mkdir(tools)
    ops = os.path.abspath(args.ops) if args.ops else systems.compile_c(
        [os.path.join(HERE, name) for name in SOURCES], os.path.join(tools, "ops"))
    return {"ops": ops, "count": account.can_count()}


__all__ = ["Bench", "Figure", "prepare", "run_group", "say"]
