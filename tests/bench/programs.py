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
    """A command that makes, changes or removes `made` in the system's directory."""

    def __init__(self, name, title, made, needs):
        super().__init__(name=name, title=title, unit="s", more=False)
        self.made = made
        self.needs = needs

    def missing(self):
        return None if shutil.which(self.needs) else f"{self.needs} is not installed"

    def place(self, system):
        return os.path.join(system.dir, self.made)

    def argv(self, bench, system):
        raise NotImplementedError

    def prepare(self, bench, system):
        bench.call(["rm", "-rf", self.place(system)])
        self.argv(bench, system)  # what it works on is made now

    def measure(self, bench, system, turn):
        seconds, _ = bench.call(self.argv(bench, system), env=git_environment())
        return Figure(seconds)


class Untar(Command):
    def argv(self, bench, system):
        return ["tar", "-xf", tarball(bench), "-C", system.dir]


class Clone(Command):
    def argv(self, bench, system):
        return ["git", "clone", "-q", "--no-hardlinks", repository(bench), self.place(system)]


class Rsync(Command):
    def argv(self, bench, system):
        return ["rsync", "-a", tree(bench) + "/", self.place(system) + "/"]


class Again(Command):
    """Needs what an earlier operation left there, or makes it."""

    def __init__(self, name, title, earlier):
        super().__init__(name, title, earlier.made, earlier.needs)
        self.earlier = earlier

    def prepare(self, bench, system):
        words = self.earlier.argv(bench, system)
        bench.call(["sh", "-c", 'place=$1; shift; test -e "$place" || exec "$@"', "sh",
                    self.place(system), *words], env=git_environment())

    def finish(self, bench, system):
        bench.call(["rm", "-rf", self.place(system)])


class Remove(Again):
    def argv(self, bench, system):
        return ["rm", "-r", self.place(system)]


class Status(Again):
    def argv(self, bench, system):
        return ["git", "-C", self.place(system), "status", "--porcelain"]

    def measure(self, bench, system, turn):
        seconds, out = bench.call(self.argv(bench, system), env=git_environment())
        if out.strip():
            raise ValueError(f"{system.key}: git status finds changes: {out.splitlines()[0]}")
        return Figure(seconds)


class RsyncAgain(Again):
    def argv(self, bench, system):
        return ["rsync", "-ai", tree(bench) + "/", self.place(system) + "/"]

    def measure(self, bench, system, turn):
        seconds, out = bench.call(self.argv(bench, system))
        if out.strip():
            raise ValueError(f"{system.key}: rsync finds changes: {out.splitlines()[0]}")
        return Figure(seconds)


def trees():
    untar = Untar("untar", "untar of a source tree", "tree", "tar")
    clone = Clone("git-clone", "git clone --no-hardlinks", "clone", "git")
    rsync = Rsync("rsync", "rsync -a of a source tree", "rsync", "rsync")
    return [untar, Remove("rm-tree", "rm -r of a source tree", untar),
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
