#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mutate.py SOURCE-ROOT MUTANT OUT: a file of the engine with a fault in it, on purpose.

Prints the name of the file that was changed. Fails if the line to change is not there exactly once:
then the engine has changed, and so must this.
"""

import sys
from pathlib import Path

MUTANTS = {
    # The data are not on the disk before the metadata that name them.
    "no-data-sync": (
        "pagefile.c",
        "return fdatasync(s->direct_fd) < 0 ? -errno : 0;",
        "return 0;",
    ),
    # A page that is replaced is used again while the last commit still names it.
    "reused-early": (
        "chunk.c",
        "if (run->flags & RUN_FRESH)",
        "if (!(run->flags & RUN_SHARED))",
    ),
    # A commit of several pages leaves the first one out.
    "page-left-out": (
        "buffer.c",
        "qsort(list, n, sizeof(*list), by_page);",
        "qsort(list, n, sizeof(*list), by_page);\n\tif (n > 1) {\n\t\tlist++;\n\t\tn--;\n\t}",
    ),
    # The metadata are not synced.
    "no-metadata-sync": (
        "kv.c",
        "unsigned flags = MDB_NOTLS",
        "unsigned flags = MDB_NOSYNC | MDB_NOTLS",
    ),
    # The page file grows, and nobody syncs its length.
    "no-length-sync": (
        "pagefile.c",
        "atomic_store(&s->page_dirty, true);\n\t\t\talloc_look_at_host(s);",
        "alloc_look_at_host(s);",
    ),
    # A size goes with the names, without the pages under it.
    "size-alone": (
        "freeze.c",
        "if (!S_ISREG(i->mode))\n\t\ti->kept = i->now;",
        "i->kept = i->now;",
    ),
    # The periodic commit takes the data of `explicit` files, too.
    "explicit-taken": (
        "freeze.c",
        "((flags & STORE_COMMIT_ALL) && !(i->flags & ZCF_INODE_EXPLICIT))",
        "(flags & STORE_COMMIT_ALL)",
    ),
    # A commit into the intent log is not synced.
    "no-log-sync": (
        "intent.c",
        "O_RDWR | O_DSYNC | O_NOFOLLOW",
        "O_RDWR | O_NOFOLLOW",
    ),
    # A page is not in the intent log.
    "log-page-left-out": (
        "intent_entries.c",
        "if (b->logged)\n\t\t\t\tcontinue;",
        "if (b->logged || b->page % 3 == 0)\n\t\t\t\tcontinue;",
    ),
    # The intent log begins anew before the metadata have what is in it.
    "log-reset-early": (
        "intent.c",
        "l->pos += length;",
        "l->pos = 0;",
    ),
    # The intent log names pages that are not on the disk yet.
    "places-not-synced": (
        "commit.c",
        "if (r == 0 && c->placed) {",
        "if (0) {",
    ),
    # A file that replaces another one comes without its data.
    "rename-without-data": (
        "rename.c",
        "if (capture && S_ISREG(i->mode))",
        "if (0)",
    ),
}


def main() -> int:
    if len(sys.argv) == 2 and sys.argv[1] == "--list":
        print("\n".join(MUTANTS))
        return 0
    root, name, out = sys.argv[1:]
    file, old, new = MUTANTS[name]
    text = (Path(root) / "lib/store" / file).read_text()
    if text.count(old) != 1:
        print(f"{file}: {text.count(old)} times (once expected): {old}", file=sys.stderr)
        return 1
    Path(out).write_text(text.replace(old, new))
    print(file)
    return 0


sys.exit(main())
