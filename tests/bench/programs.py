# SPDX-License-Identifier: MIT
"""Whole programs: untar, rm, git, rsync here; databases and servers in the files beside it.

A program runs as its users run it. What it works on lies on the host filesystem, in the caches; what
it makes is removed before the next turn. Nothing is looked up on a mount from here.
"""

import os
import shutil

import corpus
import programs_db
import programs_io
from plan import Aim, Figure, Operation, speed

FILES, QUICK_FILES = 4000, 60
PASSTHROUGH = ("passthrough_ll", "passthrough_ll:always", "passthrough_ll:writeback")
GIT = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_COUNT": "1",
       "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
       "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
       "GIT_COMMITTER_EMAIL": "a@b", "GIT_AUTHOR_DATE": "1700000000 +0000",
       "GIT_COMMITTER_DATE": "1700000000 +0000"}


def git_environment():
    return {**os.environ, **GIT}


def tree(bench):
    """The tree on the host filesystem."""
    def make():
        top = os.path.join(bench.tools, "tree")
        corpus.make_tree(top, QUICK_FILES if bench.args.quick else FILES)
        return top
    return bench.once("tree", make)


def tarball(bench):
    def make():
        source = tree(bench)
        path = source + ".tar"
        bench.call(["tar", "--sort=name", "-cf", path, "-C", os.path.dirname(source), "tree"])
        return path
    return bench.once("tarball", make)


def repository(bench):
    """The tree in one commit, in one pack."""
    def make():
        source = tree(bench)
        path = os.path.join(bench.tools, "repository")
        shutil.copytree(source, path, symlinks=True)
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "tree"],
                      ["repack", "-a", "-d", "-q", "--window=0"]):
            bench.call(["git", *words], cwd=path, env=git_environment())
        return path
    return bench.once("repository", make)


class Command(Operation):
    """A command that makes a directory of its own in each round.

    Nothing is deleted before the end: ext4 without a journal looks at each inode that was deleted in
    the last minute before it takes one, so that every system over it gets slower from round to round."""

    def __init__(self, name, title, needs, source):
        super().__init__(name=name, title=title, unit="s", more=False)
        self.needs = needs
        self.source = source
        self.rounds = {}

    def missing(self):
        return None if shutil.which(self.needs) else f"{self.needs} is not installed"

    def place(self, system):
        return os.path.join(system.dir, f"{self.name}-{self.rounds.get(system.key, 0)}")

    def argv(self, bench, system):
        raise NotImplementedError

    def prepare(self, bench, system):
        self.rounds[system.key] = self.rounds.get(system.key, 0) + 1
        source = self.source(bench)
        bench.chill(system, 2)  # passthrough_ll keeps a descriptor of what the kernel knows
        bench.call(["du", "-s", source])
        bench.call(["mkdir", self.place(system)])

    def measure(self, bench, system, turn):
        seconds, _ = bench.call(self.argv(bench, system), env=git_environment())
        return Figure(seconds)


class Untar(Command):
    def argv(self, bench, system):
        return ["tar", "-xf", self.source(bench), "-C", self.place(system)]


class Clone(Command):
    def argv(self, bench, system):
        return ["git", "clone", "-q", "--no-hardlinks", self.source(bench), self.place(system)]


class Rsync(Command):
    def argv(self, bench, system):
        return ["rsync", "-a", self.source(bench) + "/", self.place(system) + "/"]


class Again(Command):
    """Looks at what an earlier operation left there (or makes it), and finds it unchanged."""

    def __init__(self, name, title, earlier):
        super().__init__(name, title, earlier.needs, earlier.source)
        self.earlier = earlier

    def place(self, system):
        return self.earlier.place(system)

    def prepare(self, bench, system):
        if system.key not in self.earlier.rounds:
            self.earlier.prepare(bench, system)
            self.earlier.measure(bench, system, 0)

    def measure(self, bench, system, turn):
        seconds, out = bench.call(self.argv(bench, system), env=git_environment())
        if out.strip():
            raise ValueError(f"{system.key}: {self.name} finds changes: {out.splitlines()[0]}")
        return Figure(seconds)


class Status(Again):
    def argv(self, bench, system):
        return ["git", "-C", self.place(system), "status", "--porcelain"]


class RsyncAgain(Again):
    def argv(self, bench, system):
        return ["rsync", "-ai", self.source(bench) + "/", self.place(system) + "/"]


def trees():
    clone = Clone("git-clone", "git clone --no-hardlinks", "git", repository)
    rsync = Rsync("rsync", "rsync -a of a source tree", "rsync", tree)
    return [Untar("untar", "untar of a source tree", "tar", tarball),
            clone, Status("git-status", "git status after it", clone),
            rsync, RsyncAgain("rsync-again", "rsync -a, nothing changed", rsync)]


def operations(quick):
    return trees() + programs_db.operations(quick) + programs_io.operations(quick)


def aims():
    found = []
    for name, what in (("untar", "untar"), ("git-clone", "git clone"), ("rsync", "rsync")):
        found += [Aim(f"{what}, to passthrough_ll", speed(name, *PASSTHROUGH), at_least=1.5),
                  Aim(f"{what}, to ext4", speed(name, "ext4"), at_least=0.5)]
    return found + programs_db.aims()
