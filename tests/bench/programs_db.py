# SPDX-License-Identifier: MIT
"""Databases: SQLite's speed test by its shell, and pgbench with a cluster of its own.

PostgreSQL refuses to run as root, so root takes another user, who needs a mount that lets him in and
files that are his: passthrough_ll creates them as whoever runs it, so it takes no part. No cluster or
service of the machine is touched.
"""

import glob
import os
import pwd
import re
import shutil

import corpus
from plan import Aim, Figure, Operation, speed

ROWS, QUICK_ROWS = 10000, 500
SCALE, QUICK_SCALE = 10, 1
SECONDS, QUICK_SECONDS = 4, 1
CHANGES_OWNERS = ["zcfs", "bindfs", "ext4"]


class Sqlite(Operation):
    """Every commit is synced: synchronous=FULL."""

    def __init__(self, name, title, journal):
        super().__init__(name=name, title=title, unit="s", more=False)
        self.journal = journal

    def missing(self):
        return None if shutil.which("sqlite3") else "sqlite3 is not installed"

    def script(self, bench):
        def make():
            path = os.path.join(bench.tools, self.name + ".sql")
            rows = QUICK_ROWS if bench.args.quick else ROWS
            with open(path, "w", encoding="ascii") as out:
                out.write(corpus.sql_script(self.journal, rows))
            return path
        return bench.once(self.name, make)

    def place(self, system):
        return os.path.join(system.dir, self.name)

    def prepare(self, bench, system):
        self.script(bench)
        bench.call(["rm", "-rf", self.place(system)])
        bench.call(["mkdir", self.place(system)])

    def measure(self, bench, system, turn):
        seconds, out = bench.call(["sqlite3", os.path.join(self.place(system), "db"),
                                   ".read " + self.script(bench)])
        if out.split()[-1:] != ["ok"]:
            raise ValueError(f"{system.key}: {self.name}: integrity_check says {out[-200:]}")
        return Figure(seconds)

    def finish(self, bench, system):
        bench.call(["rm", "-rf", self.place(system)])


class Cluster:
    """A cluster in the directory of one system; its server runs from start() to stop()."""

    def __init__(self, bench, system):
        self.bench = bench
        self.system = system
        self.data = os.path.join(system.dir, "cluster")
        self.sockets = os.path.join(bench.tools, "pg-" + re.sub(r"\W", "-", system.key))
        self.binaries = postgres_binaries()
        self.running = False
        os.mkdir(self.sockets)
        bench.stack.callback(self.stop)
        user, group = ordinary_user()
        self.prefix = []
        if os.geteuid() == 0:
            self.prefix = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
            os.chown(self.sockets, user, group)
        bench.call(["rm", "-rf", self.data])
        bench.call(["mkdir", self.data])
        bench.call(["chown", f"{user}:{group}", self.data])
        self.make()

    def call(self, program, *words):
        environment = {**os.environ, "PGHOST": self.sockets, "PGDATABASE": "postgres",
                       "PGUSER": "postgres", "LC_ALL": "C", "HOME": self.sockets}
        return self.bench.call([*self.prefix, os.path.join(self.binaries, program), *words],
                               cwd=self.sockets, env=environment)[1]

    def make(self):
        self.call("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-N",
                  "--no-locale", "-E", "UTF8")
        self.start()
        scale = QUICK_SCALE if self.bench.args.quick else SCALE
        self.call("pgbench", "-i", "-q", "-s", str(scale))
        self.stop()

    def start(self):
        # As it comes, but for what would begin at some moment in the middle of a measurement.
        options = (f"-k {self.sockets} -c listen_addresses= -c autovacuum=off "
                   "-c checkpoint_timeout=1h -c max_wal_size=8GB")
        self.running = True
        self.call("pg_ctl", "-D", self.data, "-w", "-s", "-l",
                  os.path.join(self.sockets, "log"), "-o", options, "start")

    def stop(self):
        if self.running:
            self.running = False
            self.call("pg_ctl", "-D", self.data, "-w", "-s", "-m", "fast", "stop")


def postgres_binaries():
    """The newest that is installed; Debian keeps most of its programs out of the PATH."""
    found = [path for path in glob.glob("/usr/lib/postgresql/*/bin")
             if os.access(os.path.join(path, "initdb"), os.X_OK)]
    if found:
        return max(found, key=lambda path: float(path.split("/")[4]))
    program = shutil.which("initdb")
    return os.path.dirname(program) if program else None


def ordinary_user():
    """Who runs this, or instead of root PostgreSQL's own user, or nobody."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
            return found.pw_uid, found.pw_gid
        except KeyError:
            pass
    return 65534, 65534


class Pgbench(Operation):
    def __init__(self, name, title, words, quick):
        super().__init__(name=name, title=title, unit="transactions/s", more=True,
                         systems=CHANGES_OWNERS if not quick else ["zcfs", "ext4"])
        self.words = words

    def missing(self):
        return None if postgres_binaries() else "postgresql is not installed"

    def cluster(self, bench, system):
        return bench.once("cluster-" + system.key, lambda: Cluster(bench, system))

    def prepare(self, bench, system):
        cluster = self.cluster(bench, system)
        cluster.start()
        if "-S" in self.words:  # from the caches, for all alike
            cluster.call("psql", "-qAt", "-c", "SELECT sum(abalance) FROM pgbench_accounts")

    def measure(self, bench, system, turn):
        seconds = QUICK_SECONDS if bench.args.quick else SECONDS
        out = self.cluster(bench, system).call("pgbench", "-n", "-T", str(seconds),
                                               f"--random-seed={turn}", *self.words)
        found = re.search(r"^tps = ([0-9.]+)", out, re.MULTILINE)
        if not found:
            raise ValueError(f"{system.key}: pgbench says {out[-200:]}")
        return Figure(float(found.group(1)))

    def finish(self, bench, system):
        self.cluster(bench, system).stop()


def operations(quick):
    pgbench = [("pgbench-1", "pgbench, TPC-B, 1 client", ["-c", "1"]),
               ("pgbench-4", "pgbench, TPC-B, 4 clients", ["-c", "4", "-j", "2"]),
               ("pgbench-read-1", "pgbench, reads, 1 client", ["-S", "-c", "1"]),
               ("pgbench-read-4", "pgbench, reads, 4 clients", ["-S", "-c", "4", "-j", "2"])]
    if quick:
        pgbench = pgbench[1:3]
    return [Sqlite("sqlite-wal", "SQLite speed test, WAL", "WAL"),
            Sqlite("sqlite-rollback", "SQLite speed test, rollback journal", "DELETE"),
            *(Pgbench(*row, quick) for row in pgbench)]


def aims():
    return [Aim(text + ", to ext4", speed(name, "ext4"), at_least=0.9) for name, text in (
        ("pgbench-1", "pgbench, 1 client"), ("pgbench-4", "pgbench, 4 clients"),
        ("pgbench-read-1", "pgbench, reads, 1 client"),
        ("pgbench-read-4", "pgbench, reads, 4 clients"),
        ("sqlite-wal", "SQLite, WAL"), ("sqlite-rollback", "SQLite, rollback journal"))]
