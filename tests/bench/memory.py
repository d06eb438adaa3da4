# SPDX-License-Identifier: MIT
"""Memory that a server holds for inodes that the kernel knows, and what is left once it forgets them."""

import time

import account
from plan import Aim, Figure, Group, Operation, figure

MIB = 1 << 20
FORGET_SECONDS = 30
JOBS = 2
KNOWN, FILES, AFTER = "memory-known", "memory-files", "memory-forgotten"


class Known(Operation):
    """The first one does the work; the others report what it has seen on the way."""

    settled = True

    def __init__(self, name, title, unit="MiB", more=False, lead=None):
        super().__init__(name, title, unit, more, "memory")
        self.lead = lead
        self.seen = {}

    def prepare(self, bench, system):
        if self.lead or "many" in bench.there[system.key]:
            return
        # Where the server keeps files as files, they are made past it: that is not what is measured.
        where = system.dir if system.key.startswith("zcfs") else system.store
        bench.ops(system, ["-j", JOBS], "make-many", bench.args.inodes, where=where)
        bench.there[system.key].add("many")
        bench.settle(system)
        bench.chill(system, 2)
        system.remount()

    def measure(self, bench, system, turn):
        if self.lead:
            return Figure(self.lead.seen[system.key][self.name], machine=0)
        idle = account.memory(system)
        done, _, seconds, *_ = bench.ops(system, ["-j", JOBS], "stat-many", bench.args.inodes)
        known = account.memory(system)
        after = self.forget(bench, system, known)
        self.seen[system.key] = {
            "memory-idle": idle["RssAnon"] / MIB, FILES: known["RssFile"] / MIB,
            AFTER: after["RssAnon"] / MIB, "memory-rate": done / seconds}
        return Figure(known["RssAnon"] / MIB, ops=int(done), seconds=seconds, machine=0)

    def forget(self, bench, system, known):
        """The server hears of it while and after caches are dropped: until it has settled."""
        last, deadline = known, time.monotonic() + FORGET_SECONDS
        bench.chill(system, 2)
        while time.monotonic() < deadline:
            time.sleep(0.1 if bench.args.quick else 1)
            now = account.memory(system)
            if now["RssAnon"] == last["RssAnon"]:
                return now
            last = now
        return last


def group(args):
    lead = Known(KNOWN, f"server's own memory, {args.inodes:,} inodes known")
    operations = [
        lead,
        Known("memory-idle", "the same before the first is known", lead=lead),
        Known(AFTER, "the same after the kernel has forgotten them", lead=lead),
        Known(FILES, "files' pages that it has mapped, all known", lead=lead),
        Known("memory-rate", "first stat of each", "files/s", True, lead=lead),
    ]

    def falls(made):
        found = figure(AFTER, "{:.0f} MiB")(made)
        known = figure(KNOWN, "{:.0f} MiB")(made)
        return found and known and (found[0] / known[0], f"{found[1]} of {known[1]}")

    aims = [
        Aim(f"MiB of the daemon's own with {args.inodes:,} known inodes", figure(KNOWN, "{:.0f}"),
            at_most=300),
        Aim("what is left of it after forget, as a part", falls, at_most=0.5),
    ]
    return Group("memory", "Memory for known inodes", ["zcfs", "mergerfs"], operations, aims,
                 rounds="memory_rounds")
