# SPDX-License-Identifier: MIT
"""What whole programs work on: a tree like that of sources, a tar and a git repository of it, SQL.

Everything is made here, the same at every run, and nothing is fetched.
"""

import os
import random

SEED = 20
MTIME = 1700000000
MEDIAN, SIGMA, LARGEST = 4500, 1.3, 400000
WORDS = ("static", "const", "struct", "return", "if", "else", "for", "while", "size_t", "int",
         "unsigned", "char", "void", "count", "buffer", "offset", "length", "error", "result",
         "node", "list", "next", "index", "value", "flags", "lock", "page", "inode", "entry",
         "->", "==", "!=", "&&", "+", "=", "(", ")", "{", "}", ";", "\n", "\n\t", "\n\t\t", "*")


def text_of(rng, size):
    """Words in no order: compresses as sources do, about 4 to 1."""
    return " ".join(rng.choices(WORDS, k=size // 4))[:size].encode()


def file_size(rng):
    """Most files of sources are small, a few are large."""
    return max(20, min(LARGEST, int(MEDIAN * 2.718281828 ** rng.gauss(0, SIGMA))))


def directory(number):
    """Ten files each, three levels deep."""
    leaf = number // 10
    return os.path.join(f"part{leaf // 40:02}", f"sub{leaf // 8 % 5}", f"unit{leaf % 8}")


def make_tree(top, files):
    """`files` files below top, some of them programs, and a few symbolic links."""
    rng = random.Random(SEED)
    text = text_of(rng, 4 << 20)
    for number in range(files):
        place = os.path.join(top, directory(number))
        os.makedirs(place, exist_ok=True)
        path = os.path.join(place, f"file{number:05}.c")
        size = file_size(rng)
        start = rng.randrange(len(text) - size)
        with open(path, "wb") as out:
            out.write(b"/* %d */\n" % number + text[start:start + size])
        if number % 50 == 0:
            os.chmod(path, 0o755)
        os.utime(path, (MTIME + number, MTIME + number))
        if number % 100 == 0:
            os.symlink(f"file{number:05}.c", os.path.join(place, f"link{number:05}"))


def digits(number):
    """A number in letters, so that rows of text differ."""
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return " ".join(names[int(d)] for d in str(number))


def insert(table, rng, key):
    value = rng.randrange(100000)
    return f"INSERT INTO {table} VALUES({key},{value},'{digits(value)}');"


def transaction(lines):
    return ["BEGIN;", *lines, "COMMIT;"]


def sql_script(journal, rows):
    """The tests of SQLite's classic speed comparison (sqlite.org/speed.html), scaled by `rows`."""
    rng = random.Random(SEED)
    small = max(1, rows // 20)
    keys = range(1, rows + 1)
    lines = [f"PRAGMA journal_mode={journal};", "PRAGMA synchronous=FULL;",
             "CREATE TABLE t1(a INTEGER, b INTEGER, c VARCHAR(100));",
             "CREATE TABLE t2(a INTEGER, b INTEGER, c VARCHAR(100));",
             "CREATE TABLE t3(a INTEGER, b INTEGER, c VARCHAR(100));",
             "CREATE INDEX i3 ON t3(c);"]
    # Each a transaction of its own: one commit an insert.
    lines += [insert("t1", rng, key) for key in range(1, small + 1)]
    lines += transaction([insert("t2", rng, key) for key in keys])
    lines += transaction([insert("t3", rng, key) for key in keys])
    lines += transaction([f"SELECT count(*), avg(b) FROM t2 WHERE b>={n * 100} AND b<{n * 100 + 1000};"
                          for n in range(20)])
    lines += transaction([f"SELECT count(*), avg(b) FROM t2 WHERE c LIKE '%{digits(n)}%';"
                          for n in range(20)])
    lines += ["CREATE INDEX i2a ON t2(a);", "CREATE INDEX i2b ON t2(b);"]
    lines += transaction([f"SELECT count(*), avg(b) FROM t2 WHERE b>={n * 100} AND b<{n * 100 + 100};"
                          for n in range(small)])
    lines += transaction([f"UPDATE t1 SET b=b*2 WHERE a>={n * 10} AND a<{n * 10 + 10};"
                          for n in range(small // 10)])
    lines += transaction([f"UPDATE t2 SET b={rng.randrange(100000)} WHERE a={key};"
                          for key in keys])
    lines += transaction([f"UPDATE t2 SET c='{digits(rng.randrange(100000))}' WHERE a={key};"
                          for key in keys])
    # Again a commit each, scattered over a table that is large by now.
    lines += [f"UPDATE t2 SET b=b+1 WHERE a={rng.randrange(1, rows + 1)};" for _ in range(small)]
    lines += transaction(["INSERT INTO t1 SELECT b,a,c FROM t2;", "INSERT INTO t2 SELECT b,a,c FROM t1;"])
    lines += ["DELETE FROM t2 WHERE c LIKE '%fifty%' OR a % 3 = 0;",
              "DELETE FROM t2 WHERE a>10 AND a<20000;", "INSERT INTO t2 SELECT * FROM t1;"]
    lines += transaction(["DELETE FROM t1;"] + [insert("t1", rng, key) for key in keys[:rows // 2]])
    lines += ["SELECT 'rows', count(*) FROM t1;", "PRAGMA integrity_check;",
              "DROP TABLE t1;", "DROP TABLE t2;", "DROP TABLE t3;"]
    return "\n".join(lines) + "\n"
