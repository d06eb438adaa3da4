# SPDX-License-Identifier: MIT
"""Processes map a file, store to it and leave again all the time, some without a word, so that it becomes live and
paged over and over: no store is lost, neither between two lives nor to an unmount."""
import array
import os

from live import *

rounds = 15 if os.environ.get("ZC_QUICK") else 40
for options in ("policy=explicit", "commit=0"), ("policy=auto", "commit=1"):
    m = Mount(*options)
    path = m / "file"
    added = int(run(os.path.dirname(PROGRAM) + "/live_churn", path, "4", str(rounds)))
    soon(lambda: m.images() == [])
    for when in "paged", "after an unmount":
        with open(path, "rb") as f:
            words = array.array("Q", f.read())
        equal(f"sum, {when}", sum(words), added)
        if when == "paged":
            m.remount()
    m.umount()
    os.rename(m.store, m.store + options[0])
    ok(f"{options[0]}: {added} additions by 4 processes in {rounds} rounds each")
