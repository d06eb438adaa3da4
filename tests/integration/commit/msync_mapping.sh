#!/bin/bash
# SPDX-License-Identifier: MIT
#
# msync commits stores through a mapping; without it they are not in an explicit file after a crash.
. "$(dirname "$0")/commit_lib.sh" || exit 1
zc_create "$S"
for cache in writeback none; do
	zc_mount "$S" "$M" "commit=1,policy=explicit,cache=$cache"
	rm -f "$M"/*
	py - "$M" <<'END'
import mmap, os, sys
for name in "whole", "part", "nothing":
    with open(f"{sys.argv[1]}/{name}", "wb+") as f:
        f.write(b"o" * 65536)
        f.flush()
        os.fsync(f.fileno())
        m = mmap.mmap(f.fileno(), 65536)
        m[0:65536] = b"n" * 65536
        if name == "whole":
            m.flush()
        elif name == "part":
            m.flush(16384, 8192)
        m.close()
END
	crash "commit=1,policy=explicit,cache=$cache"
	py - "$M" <<'END'
import sys
data = {name: open(f"{sys.argv[1]}/{name}", "rb").read() for name in ("whole", "part", "nothing")}
assert data["whole"] == b"n" * 65536, "msync of the whole mapping lost stores"
assert data["part"][16384:24576] == b"n" * 8192, "msync of a part lost its range"
assert len(data["part"]) == 65536 and set(data["part"]) <= set(b"on")
for at in range(0, 65536, 4096):
    assert len(set(data["part"][at:at + 4096])) == 1, "a torn page"
assert data["nothing"] == b"o" * 65536, "stores without msync are there"
END
	ok "cache=$cache: msync of all, of a part, and none"
	zc_umount "$M"
done
