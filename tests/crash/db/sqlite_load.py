#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Transactions on a SQLite database by several processes, and the check of what a crash left.

    sqlite_load.py setup  DB MODE SYNC
    sqlite_load.py run    DB MODE SYNC LOGS SEED MS PID
    sqlite_load.py verify DB MODE SYNC LOGS

`run` starts WORKERS processes. Each transaction moves an amount from one account to another and
inserts a row of history that says so; when COMMIT has returned, its number goes to the worker's
log in LOGS, which is not on the mount. MS milliseconds after the first of them, the daemon PID and the
workers are killed by SIGKILL, all at once.

`verify` demands that SQLite finds the database whole, that every worker's history is 1..n without
a gap, that n is the last acknowledged number or the one after it (which was in flight), that each
row has the bytes its numbers stand for, and that every account is what its history makes of it.
"""

import hashlib
import os
import random
import signal
import sqlite3
import sys
import time

WORKERS = 3
ACCOUNTS = 100
START = 1000


def connect(path, mode, sync):
    db = sqlite3.connect(path, timeout=300, isolation_level=None)
    found = db.execute(f"PRAGMA journal_mode={mode}").fetchone()[0]
    if found.lower() != mode.lower():
        raise SystemExit(f"{path}: journal mode {found} instead of {mode}")
    db.execute(f"PRAGMA synchronous={sync}")
    # Checkpoints should happen while we look.
    db.execute("PRAGMA wal_autocheckpoint=40")
    return db


def setup(path, mode):
    db = connect(path, mode, "FULL")
    db.executescript("""
        BEGIN;
        CREATE TABLE account (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL);
        CREATE TABLE history (worker INTEGER, number INTEGER, source INTEGER, target INTEGER,
                              amount INTEGER, note TEXT, PRIMARY KEY (worker, number));
        CREATE INDEX by_source ON history (source, amount);
        COMMIT;""")
    db.execute("BEGIN")
    db.executemany("INSERT INTO account VALUES (?, ?)", [(i, START) for i in range(ACCOUNTS)])
    db.execute("COMMIT")
    db.close()


def note(worker, number):
    """The text of a row: from a few bytes to more than a page, so that some overflow."""
    word = hashlib.sha256(f"{worker} {number}".encode()).hexdigest()
    return word * (1 + int(word[:2], 16) % 90)


def log_name(logs, worker):
    return os.path.join(logs, f"worker{worker}")


def acknowledged(logs, worker):
    try:
        with open(log_name(logs, worker), encoding="ascii") as log:
            return int(([0] + log.read().split())[-1])
    except FileNotFoundError:
        return 0


def transaction(db, rng, worker, number):
    source, target = rng.sample(range(ACCOUNTS), 2)
    amount = rng.randint(1, 50)
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE account SET amount = amount - ? WHERE id = ?", (amount, source))
    db.execute("UPDATE account SET amount = amount + ? WHERE id = ?", (amount, target))
    db.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)",
               (worker, number, source, target, amount, note(worker, number)))
    db.execute("COMMIT")


def work(path, mode, sync, logs, seed, worker, ready):
    rng = random.Random(f"{seed} {worker}")
    db = connect(path, mode, sync)
    last = db.execute("SELECT max(number) FROM history WHERE worker = ?", (worker,)).fetchone()[0]
    number = (last or 0) + 1
    log = os.open(log_name(logs, worker), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    while True:
        transaction(db, rng, worker, number)
        # One write: there whole or not at all, and the kernel keeps it when this process dies.
        os.write(log, b"%d\n" % number)
        os.write(ready, b"x")
        number += 1
        # SQLite's locks are not fair: let the others have a turn.
        time.sleep(rng.random() / 500)


def start(path, mode, sync, logs, seed, worker, ready):
    pid = os.fork()
    if pid:
        return pid
    try:
        work(path, mode, sync, logs, seed, worker, ready)
    except sqlite3.Error as err:
        # Expected once the daemon is dead; whoever waits for the end sees if it came before.
        os.write(2, f"worker {worker}: {err}\n".encode())
    finally:
        os._exit(1)


def run(path, mode, sync, logs, seed, milliseconds, daemon):
    ours, theirs = os.pipe()
    signal.alarm(400)
    workers = [start(path, mode, sync, logs, seed, i, theirs) for i in range(WORKERS)]
    os.close(theirs)
    if not os.read(ours, 1):
        raise SystemExit("the workers have ended before the daemon")
    time.sleep(milliseconds / 1000)
    for pid in workers:
        if os.waitpid(pid, os.WNOHANG)[0]:
            raise SystemExit("a worker has ended before the daemon")
    victims = [daemon] + workers
    random.Random(seed).shuffle(victims)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    for pid in workers:
        os.waitpid(pid, 0)
    print(f"{sum(acknowledged(logs, i) for i in range(WORKERS))} transactions so far")


def verify_worker(db, worker, acked):
    rows = db.execute("SELECT number, note FROM history WHERE worker = ? ORDER BY number",
                      (worker,)).fetchall()
    numbers = [number for number, _ in rows]
    if numbers != list(range(1, len(numbers) + 1)):
        raise SystemExit(f"worker {worker}: a gap in its history: {len(rows)} rows up to "
                         f"{numbers[-1]}")
    if not acked <= len(rows) <= acked + 1:
        raise SystemExit(f"LOST: worker {worker}: {acked} transactions acknowledged, "
                         f"{len(rows)} found")
    for number, text in rows:
        if text != note(worker, number):
            raise SystemExit(f"worker {worker}: row {number} has other bytes")


def verify(path, mode, sync, logs):
    db = connect(path, mode, sync)
    found = db.execute("PRAGMA integrity_check").fetchall()
    if found != [("ok",)]:
        raise SystemExit(f"integrity_check: {found[:5]}")
    for worker in range(WORKERS):
        verify_worker(db, worker, acknowledged(logs, worker))
    total = db.execute("SELECT sum(amount) FROM account").fetchone()[0]
    if total != ACCOUNTS * START:
        raise SystemExit(f"the accounts sum up to {total} instead of {ACCOUNTS * START}")
    wrong = db.execute("""
        SELECT id, amount FROM account WHERE amount != ?
            + (SELECT ifnull(sum(amount), 0) FROM history WHERE target = id)
            - (SELECT ifnull(sum(amount), 0) FROM history WHERE source = id)""",
                       (START,)).fetchall()
    if wrong:
        raise SystemExit(f"accounts that differ from their history: {wrong[:5]}")
    rows = db.execute("SELECT count(*) FROM history").fetchone()[0]
    db.close()
    print(f"{os.path.basename(path)}: ok, {rows} transactions")


def main():
    verb, path, mode, sync, *rest = sys.argv[1:]
    if verb == "setup":
        setup(path, mode)
    elif verb == "run":
        logs, seed, milliseconds, daemon = rest
        run(path, mode, sync, logs, int(seed), int(milliseconds), int(daemon))
    elif verb == "verify":
        verify(path, mode, sync, rest[0])
    else:
        raise SystemExit(f"{verb}: unknown verb")


if __name__ == "__main__":
    main()
