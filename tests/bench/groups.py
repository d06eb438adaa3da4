# SPDX-License-Identifier: MIT
"""The operations that ops.c measures, in groups, and what is aimed at with each."""

import account
import peers
from plan import Aim, Figure, Group, Operation, cpu, cpu_between, speed
from systems import BenchError

MIN_SECONDS = 0.3
MOST_AGAIN = 8
SMALL_MIB = 256
GIB = 1 << 30
NAMES, DATA, FIRST = 2, 3, "first"
PASSTHROUGH = ("passthrough_ll", "passthrough_ll:always", "passthrough_ll:writeback")
CACHING = ("passthrough_ll:always", "passthrough_ll:writeback")
COUNTED = ("zcfs", "passthrough_ll:always", "passthrough_ll:writeback", "mergerfs", "ext4")
WARM = ("zcfs", "passthrough_ll:writeback", "tmpfs", "ext4")


class Call(Operation):
    """One that ops does.

    call: what ops is told; count: the option that says how many; files: what it works on, ("big",) or
    ("files", bytes, jobs); makes, removes: whether that is there only afterwards, or only before;
    cold: what is to be in memory: neither names nor inodes (NAMES), nothing (DATA), or only what the
    servers and the host hold (FIRST). again: once more, with all on disk, while it has been short, as
    what is cold is measured. writes: what the server does until all is on disk counts."""

    settled = True

    def __init__(self, group, name, title, unit, call, count, files, cold=None, makes=False,
                 removes=False, writes=False, counts=False, again=False, systems=None, jobs=None):
        super().__init__(name, title, unit, True, group, systems)
        self.call, self.count, self.files, self.cold = call, count, files, cold
        self.makes, self.removes, self.writes, self.counts = makes, removes, writes, counts
        self.again = again or bool(cold)
        self.jobs = jobs or (files[2] if files[0] == "files" else 1)
        # A host's ext4 looks at each inode that was deleted in the last minutes before it takes one:
        # nobody makes files while that is going on.
        self.late = removes

    def options(self, bench, system, turn):
        words = ["-j", self.jobs, "-r", turn]
        if bench.args.quick:
            words += ["-m", 20]
        if self.files[0] == "files":
            words += ["-s", self.files[1]]
        for pid in system.pids():
            words += ["-p", pid]
        return words

    def how_many(self, bench):
        return max(1, int(getattr(bench.args, self.count) / self.files[2])
                   if self.files[0] == "files" else getattr(bench.args, self.count))

    def thing(self, turn):
        """What it works on: small files are those of the round, the big file is the same in all."""
        return (*self.files, turn) if self.files[0] == "files" else self.files

    def prepare(self, bench, system):
        """Sees to it that the files are there, or not there, and all of it on disk."""
        turn = bench.round
        there, thing = bench.there[system.key], self.thing(turn)
        if self.makes and thing in there:
            bench.ops(system, [], "remove-big", 0)
            there.discard(thing)
            bench.settle(system)
        if not self.makes and self.files[0] != "none" and thing not in there:
            self.make(bench, system, turn)
        if self.removes:
            bench.ops(system, self.options(bench, system, turn), "stat-once", self.how_many(bench))
        elif self.makes or self.writes:
            bench.chill(system, DATA)  # all start with the same memory, and no file known

    def make(self, bench, system, turn):
        if self.files[0] == "big":
            size = bench.args.random_size if self.count == "writes" else \
                bench.args.mode_size if self.count == "mode_size" else bench.args.size
            bench.ops(system, [], "seq-write", size)
        else:
            bench.ops(system, self.options(bench, system, turn), "create", self.how_many(bench))
        bench.there[system.key].add(self.thing(turn))
        bench.settle(system)

    def cool(self, bench, system):
        """False if that cannot be done. Only then are the server's processes those that count."""
        if self.cold == FIRST:
            bench.only_stored(system)
            return True
        return not self.cold or bench.chill(system, self.cold)

    def memory(self, bench, system):
        """MiB that one pass may take: pages of the mount, and of its server's files if it uses the
        host's cache for them."""
        if self.files[0] != "big" or self.call.endswith("-warm") or not (self.writes or self.cold):
            return SMALL_MIB
        twice = 1 if system.key == "ext4" or system.key.startswith("zcfs") else 2
        return SMALL_MIB + (twice * self.how_many(bench) if self.unit == "MB/s" else 0)

    def one(self, bench, system, turn, before=()):
        need = self.memory(bench, system)
        bench.memory.hold(need)
        bench.memory.free()
        found = bench.ops(system, self.options(bench, system, turn), self.call,
                          self.how_many(bench), turn, before)
        if self.makes:
            bench.there[system.key].add(self.thing(turn))
        if self.removes:
            bench.there[system.key].discard(self.thing(turn))
        if need > SMALL_MIB:
            bench.chill(system, DATA)
        bench.memory.hold(need)
        return found

    def measure(self, bench, system, turn):
        total = None
        for _ in range(MOST_AGAIN):
            if not self.cool(bench, system):
                return None
            found = self.one(bench, system, turn)
            total = found if total is None else [a + b for a, b in zip(total, found)]
            if not self.again or total[2] >= MIN_SECONDS or bench.args.quick:
                break
            bench.settle(system)
        done, size, seconds, own, servers, machine = total
        if self.writes and system.server:
            before = account.servers(system)
            bench.settle(system)
            servers += account.servers(system) - before
        return Figure((size / 1e6 if self.unit == "MB/s" else done) / seconds, int(size), int(done),
                      seconds, servers if system.server else None, own, machine)

    def calls(self, bench, system, turn):
        if not self.counts or system.key not in COUNTED:
            return None
        self.prepare(bench, system)
        if not self.cool(bench, system):
            return None
        with account.counted(system, bench.tools) as (words, read):
            found = self.one(bench, system, turn, words)
            theirs, own = read()
        return [theirs, own, found[1] / GIB if self.unit == "MB/s" else found[0],
                "GiB" if self.unit == "MB/s" else "file"]


def files_group():
    def call(name, title, what, size=4096, jobs=1, unit="files/s", **more):
        return Call("files", name, title, unit, what, "files", ("files", size, jobs), **more)

    operations = [
        call("create", "create + write 4 KiB + close", "create", makes=True, counts=True),
        call("stat-warm", "stat, warm", "stat-warm"),
        call("stat-cold", "stat, cold", "stat-once", cold=NAMES, counts=True),
        call("read-warm", "open + read 4 KiB + close, warm", "read-warm"),
        call("read-cold", "open + read 4 KiB + close, cold", "read-once", cold=DATA, counts=True),
        call("list-cold", "list a directory, cold", "list-once", cold=NAMES, unit="entries/s"),
        call("unlink", "unlink", "unlink", removes=True, counts=True),
        call("create-jobs", "create + write 4 KiB + close, 4 jobs", "create", jobs=4, makes=True),
        call("read-warm-jobs", "open + read 4 KiB + close, warm, 4 jobs", "read-warm", jobs=4),
        call("unlink-jobs", "unlink, 4 jobs", "unlink", jobs=4, removes=True),
    ]
    metadata = ("create", "stat-cold", "read-warm", "read-cold", "unlink")
    titles = {op.name: op.title for op in operations}
    aims = [Aim(f"{titles[name]}, to passthrough_ll with its caches on", speed(name, *CACHING),
                at_least=2) for name in metadata]
    return Group("files", "Small files", [*peers.FUSE, "ext4"], operations, aims)


def sizes_group():
    operations = []
    for size, label, count in ((65536, "64 KiB", "middle"), (1 << 20, "1 MiB", "large")):
        files = ("files", size, 1)
        operations += [
            Call("sizes", f"create-{label}".replace(" ", ""), f"create + write {label} + close",
                 "MB/s", "create", count, files, makes=True, writes=True),
            Call("sizes", f"read-cold-{label}".replace(" ", ""),
                 f"open + read {label} + close, cold", "MB/s", "read-once", count, files, cold=DATA),
            Call("sizes", f"read-warm-{label}".replace(" ", ""),
                 f"open + read {label} + close, warm", "MB/s", "read-warm", count, files),
            Call("sizes", f"unlink-{label}".replace(" ", ""), f"unlink files of {label}", "files/s",
                 "unlink", count, files, removes=True),
        ]
    return Group("sizes", "Files of 64 KiB and 1 MiB",
                 ["zcfs", "passthrough_ll:writeback", "mergerfs", "bindfs", "ext4"], operations, [])


def big_operations():
    def call(name, title, what, unit="MB/s", count="size", **more):
        return Call("big", name, title, unit, what, count, ("big",), **more)

    # cache=always differs from the others in what is written and read as one file in nothing.
    few = ["zcfs", "passthrough_ll", "passthrough_ll:writeback", "mergerfs"]
    writers = [*few, "bindfs", "ext4"]
    readers = [*few, "passthrough_ll:ahead"]
    stored = [*readers, "ext4"]
    send = ("zcfs", "passthrough_ll:writeback", "ext4")
    return [
        call("seq-write", "sequential write of a new file + fsync", "seq-write", makes=True,
             writes=True, counts=True, systems=writers),
        call("seq-overwrite", "sequential overwrite + fsync", "overwrite", writes=True, counts=True,
             systems=writers),
        call("seq-read-cold", "sequential read, disk-cold", "seq-read-once", cold=DATA, counts=True,
             systems=stored),
        call("seq-read-first", "first sequential read, store resident", "seq-read-once", cold=FIRST,
             counts=True, systems=[*readers, "bindfs"]),
        call("random-read-cold", "4 KiB reads at random, disk-cold", "random-read-once", "reads/s",
             "reads", cold=DATA, systems=[*few, "ext4"]),
        call("seq-read-warm", "sequential read, warm", "seq-read-warm", systems=WARM),
        call("random-read-warm", "4 KiB reads at random, warm", "random-read-warm", "reads/s",
             systems=WARM),
        call("random-read-warm-jobs", "4 KiB reads at random, warm, 4 jobs", "random-read-warm",
             "reads/s", jobs=4, systems=WARM),
        call("mmap-fault", "mmap scan with its faults, warm", "mmap-fault", systems=WARM),
        call("mmap-scan", "mmap scan, mapped before, warm", "mmap-scan", systems=WARM),
        call("sendfile-cold", "sendfile to a loopback socket, disk-cold", "sendfile-once", cold=DATA,
             systems=send),
        call("sendfile-warm", "sendfile to a loopback socket, warm", "sendfile-warm", systems=send),
        call("copy-warm", "read + write to a loopback socket, warm", "copy-warm", systems=send),
    ]


def big_group():
    operations = big_operations()
    titles = {op.name: op.title for op in operations}
    aims = []
    for name in ("seq-read-warm", "random-read-warm", "mmap-fault", "mmap-scan"):
        aims += [Aim(f"{titles[name]}, to tmpfs", speed(name, "tmpfs"), at_least=0.95),
                 Aim(f"{titles[name]}, to ext4", speed(name, "ext4"), at_least=0.75)]
    aims += [
        Aim(f"{titles['seq-read-first']}, to passthrough_ll", speed("seq-read-first", *PASSTHROUGH),
            at_least=1.5),
        Aim(f"{titles['seq-read-first']}, to mergerfs", speed("seq-read-first", "mergerfs"),
            at_least=1.5),
        Aim(f"{titles['seq-read-cold']}, to ext4", speed("seq-read-cold", "ext4"), at_least=1.0),
    ]
    for name in ("seq-write", "seq-overwrite"):
        aims += [Aim(f"{titles[name]}, to ext4", speed(name, "ext4"), at_least=1.1),
                 Aim(f"{titles[name]}, to passthrough_ll", speed(name, *PASSTHROUGH), at_least=1.8)]
    aims += [
        Aim(f"{titles['sendfile-warm']}, to ext4", speed("sendfile-warm", "ext4"), at_least=0.98),
        Aim("CPU of the sender per GiB, sendfile to read + write, both warm on zcfs",
            cpu_between("sendfile-warm", "copy-warm", "own", "daemon"), at_most=0.6),
    ]
    aims += [Aim(f"CPU of the daemon per GiB, {titles[name]}, to passthrough_ll",
                 cpu(name, "daemon", *PASSTHROUGH), at_most=0.6)
             for name in ("seq-write", "seq-overwrite")]
    return Group("big", "A file of 1 GiB",
                 ["zcfs", "passthrough_ll", "passthrough_ll:writeback", "passthrough_ll:ahead",
                  "mergerfs", "bindfs", "ext4", "tmpfs"], operations, aims,
                 rounds="big_rounds")


def commit_group():
    def call(name, title, unit, what, count, files, **more):
        return Call("commit", name, title, unit, what, count, files, **more)

    operations = [
        call("random-write", "1,000 random 4 KiB writes in 256 MiB + fsync, once", "writes/s",
             "random-write-once", "writes", ("big",), again=True),
        call("random-write-on", "the same, on and on", "writes/s", "random-write", "writes",
             ("big",)),
        call("commit", "4 KiB write + fsync, on and on", "commits/s", "commit", "commits",
             ("none",)),
    ]
    aims = [Aim(f"1,000 random 4 KiB writes in 256 MiB + fsync, {how}, to ext4",
                speed(name, "ext4"), at_least=1.0)
            for name, how in (("random-write", "once"), ("random-write-on", "on and on"))]
    return Group("commit", "Commits", [*peers.FUSE, "ext4"], operations, aims)


def modes_group():
    def big(name, title, what, **more):
        return Call("modes", name, title, "MB/s", what, "mode_size", ("big",), **more)

    def small(name, title, what, unit="files/s", count="files", files=("files", 4096, 1), **more):
        return Call("modes", name, title, unit, what, count, files,
                    systems=["zcfs", *peers.WAITING], **more)

    operations = [
        big("mode-write", "sequential write of a new file + fsync", "seq-write", makes=True,
            writes=True, systems=["zcfs", *peers.WRITING]),
        big("mode-overwrite", "sequential overwrite + fsync", "overwrite", writes=True,
            systems=["zcfs", *peers.WRITING]),
        big("mode-read-cold", "sequential read, disk-cold", "seq-read-once", cold=DATA,
            systems=["zcfs", *peers.READING]),
        big("mode-read-first", "first sequential read, store resident", "seq-read-once",
            cold=FIRST, systems=["zcfs", *peers.READING]),
        small("mode-create", "create + write 4 KiB + close", "create", makes=True),
        small("mode-stat-cold", "stat, cold", "stat-once", cold=NAMES),
        small("mode-read-warm", "open + read 4 KiB + close, warm", "read-warm"),
        small("mode-commit", "4 KiB write + fsync, on and on", "commit", "commits/s", "commits",
              ("none",)),
    ]
    return Group("modes", "Paths that zcfs takes, and how it waits, forced by its options",
                 peers.MODES, operations, [], rounds="mode_rounds")


def check_systems(groups, wanted):
    """The groups with only the systems that are wanted; none is an error."""
    found = []
    for group in groups:
        keys = [key for key in group.systems if not wanted or key in wanted]
        if keys:
            found.append(group._replace(systems=keys))
    if not found:
        raise BenchError("no group has any of these systems")
    return found
