# SPDX-License-Identifier: MIT
"""What a run consists of: groups of operations, the figures that they give, and what is aimed at."""

from typing import NamedTuple, Optional

import report


class Figure(NamedTuple):
    """One measurement. value is in the operation's unit; CPU times are seconds, counts are calls.

    daemon: the servers' time, own: that of the programs that work on the mount, machine: of all
    processors, whoever used them (so it is more than the sum of the others where the kernel's
    threads take part, or other programs)."""
    value: float
    bytes: int = 0
    ops: int = 0
    seconds: float = 0.0
    daemon: Optional[float] = None
    own: Optional[float] = None
    machine: Optional[float] = None


class Operation:
    """One row of a table. prepare, measure and finish are called for each system in turn, in each
    round (bench.round); only measure is for the time. Whatever they run goes through bench.call."""

    settled = False  # does prepare leave nothing that is not on disk?
    counts = False   # does calls() count?
    late = False     # are its rounds to come when those of the others are over?

    def __init__(self, name, title, unit="s", more=False, group="programs", systems=None):
        self.name = name        # for --only and JSON
        self.title = title      # in tables
        self.unit = unit
        self.more = more        # is more better? else less is
        self.group = group
        self.systems = systems  # keys of those that take part; None: all of the group

    def missing(self):
        """Why this cannot be measured here; None if it can."""
        return None

    def prepare(self, bench, system):
        pass

    def measure(self, bench, system, turn):
        """A Figure; or None where there is none."""
        raise NotImplementedError

    def finish(self, bench, system):
        pass

    def calls(self, bench, system, turn):
        """(system calls of the server, of the program, GiB or operations, unit) of one more pass,
        which is counted and not timed; None if that is not done."""
        return None

    def takes(self, key):
        return self.systems is None or key in self.systems


class Group(NamedTuple):
    """Operations that are measured with the same systems; the first one's ratios are shown."""
    name: str
    title: str
    systems: list
    operations: list
    aims: list
    rounds: str = "rounds"  # the option that says how many


class Aim:
    """text: what was aimed at. find(report) gives (found, text of it), or None if not measured."""

    def __init__(self, text, find, at_least=None, at_most=None):
        self.text, self.find = text, find
        self.at_least, self.at_most = at_least, at_most

    def judge(self, made):
        """(aim, found, reached): reached is None where there is no figure."""
        bound = f"at least {self.at_least:g}" if self.at_least is not None else \
            f"at most {self.at_most:g}"
        found = self.find(made)
        if found is None:
            return f"{self.text}: {bound}", "not measured", None
        value, text = found
        good = value >= self.at_least if self.at_least is not None else value <= self.at_most
        return f"{self.text}: {bound}", text, good


def speed(name, *peers):
    """How many times faster than the peers: than that with which it is the least."""
    def find(made):
        found = [(made.ratio(name, peer), peer) for peer in peers]
        found = [(ratio, peer) for ratio, peer in found if ratio]
        if not found:
            return None
        ratio, peer = min(found, key=lambda one: one[0]["median"])
        return ratio["median"], report.cell(ratio, "{:.2f}".format) + \
            (f", to {made.label(peer)}" if len(peers) > 1 else "")
    return find


def cpu(name, what, *peers):
    """CPU seconds per GiB, as a part of the peer's with which it is the greatest share; what: a
    field of Figure."""
    def find(made):
        found = [(report.ratios(made.per_gib(name, made.base, what),
                                made.per_gib(name, peer, what)), peer)
                 for peer in peers if made.has(name, peer) and made.has(name, made.base)]
        found = [(ratio, peer) for ratio, peer in found if ratio]
        if not found:
            return None
        ratio, peer = max(found, key=lambda one: one[0]["median"])
        return ratio["median"], report.cell(ratio, "{:.2f}".format) + \
            (f", to {made.label(peer)}" if len(peers) > 1 else "")
    return find


def cpu_between(name, other, *what):
    """CPU seconds per GiB of one operation as a part of another's, both of the first system."""
    def find(made):
        if not made.has(name, made.base) or not made.has(other, made.base):
            return None
        def total(op):
            rounds = [made.per_gib(op, made.base, field) for field in what]
            return [None if None in each else sum(each) for each in zip(*rounds)]
        ratio = report.ratios(total(name), total(other))
        return ratio and (ratio["median"], report.cell(ratio, "{:.2f}".format))
    return find


def figure(name, text):
    """The first system's figure itself; text says how it is written."""
    def find(made):
        if not made.has(name, made.base):
            return None
        found = report.spread(made.values(name, made.base))
        return found and (found["median"], report.cell(found, text.format))
    return find
