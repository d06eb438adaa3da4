# SPDX-License-Identifier: MIT
"""CPU time of servers, programs and the whole machine, memory of servers, and counted system calls."""

import contextlib
import glob
import os
import resource
import shutil
import tempfile
import time

import systems

TICK = os.sysconf("SC_CLK_TCK")
EVENT = "raw_syscalls:sys_enter"


def cpu_of(pid):
    """Seconds of all threads of a process, ended ones too, by the kernel's clock of it."""
    with contextlib.suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)
    return 0.0


def polling():
    """Seconds in which idle processors polled, instead of halting: a server may ask for that."""
    total = 0
    for path in glob.glob("/sys/devices/system/cpu/cpu*/cpuidle/state0"):
        with contextlib.suppress(OSError, ValueError):
            with open(path + "/name", encoding="ascii") as name, \
                    open(path + "/time", encoding="ascii") as spent:
                total += int(spent.read()) if name.read().strip() == "POLL" else 0
    return total / 1e6


def machine():
    """Seconds in which processors were busy, with user, nice, kernel, interrupts, or polled."""
    with open("/proc/stat", encoding="ascii") as lines:
        words = [int(word) for word in lines.readline().split()[1:8]]
    return sum(words[n] for n in (0, 1, 2, 5, 6)) / TICK + polling()


def servers(system):
    return sum(cpu_of(pid) for pid in system.pids())


class Meter:
    """What has been used since it was made."""

    def __init__(self, system):
        self.system = system
        self.start = self.read()

    def read(self):
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {"daemon": servers(self.system) if self.system.server else None,
                "own": used.ru_utime + used.ru_stime, "machine": machine()}

    def used(self):
        now = self.read()
        return {key: None if now[key] is None else now[key] - self.start[key] for key in now}


def memory(system):
    """Bytes that the servers hold: {"RssAnon": of their own, "RssFile": of files' pages}."""
    found = {"RssAnon": 0, "RssFile": 0, "RssShmem": 0}
    for pid in system.pids():
        with open(f"/proc/{pid}/status", encoding="ascii") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name in found:
                    found[name] += int(value.split()[0]) * 1024
    return found


def can_count():
    """Does perf count system calls here? It needs root, or perf_event_paranoid below 0."""
    if not shutil.which("perf"):
        return False
    with contextlib.suppress(systems.BenchError):
        systems.run(["perf", "stat", "-e", EVENT, "true"])
        return True
    return False


def read_count(path):
    """The number in what perf stat -x, has written."""
    with open(path, encoding="ascii", errors="replace") as lines:
        for line in lines:
            words = line.split(",")
            if len(words) > 2 and words[2].startswith(EVENT):
                return int(words[0]) if words[0].isdigit() else None
    return None


@contextlib.contextmanager
def counted(system, directory):
    """Gives (words to put before a command, function that says what it and the servers called)."""
    with tempfile.TemporaryDirectory(dir=directory) as top:
        own, theirs = os.path.join(top, "own"), os.path.join(top, "theirs")
        stat = ["perf", "stat", "-x,", "-e", EVENT]
        words = [*stat, "-o", own, "--"]
        if system.server:
            pids = ",".join(map(str, system.pids()))
            words = [*stat, "-o", theirs, "-p", pids, "--", *words]
        yield words, lambda: (read_count(theirs) if system.server else None, read_count(own))
