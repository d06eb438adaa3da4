#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""read_stale.py MNT: readers, while pages are replaced and used again. Each page says which file and page
it is and how often it was written: a reader must find the right one, and none older than what it has
seen. All that is read comes from the store: the readers bypass the kernel's cache, or empty it."""
import mmap
import os
import random
import struct
import sys
import threading
import time

PAGE, PAGES, FILES, SECONDS = 4096, 192, 4, 1.5
top, failures, stop = sys.argv[1], [], time.monotonic() + SECONDS


def page_of(file, page, turn):
    return struct.pack("<QQQ", file, page, turn) * 170 + bytes(16)


def writer(file):
    fd = os.open(f"{top}/f{file}", os.O_RDWR | os.O_CREAT)
    r, turn = random.Random(file), 0
    while time.monotonic() < stop:
        turn += 1
        first = r.randrange(PAGES)
        count = r.choice((1, 2, 17, PAGES))
        data = b"".join(page_of(file, n, turn) for n in range(first, min(first + count, PAGES)))
        os.pwrite(fd, data, first * PAGE)
        os.fsync(fd)  # and the pages that were there before are free
    os.close(fd)


def reader(file, direct):
    fd = os.open(f"{top}/f{file}", os.O_RDONLY | (os.O_DIRECT if direct else 0))
    buf, r, seen = mmap.mmap(-1, PAGES * PAGE), random.Random(-file), [0] * PAGES
    while time.monotonic() < stop:
        first = r.choice((0, r.randrange(PAGES)))
        if not direct:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        n = os.preadv(fd, [memoryview(buf)[:(PAGES - first) * PAGE]], first * PAGE)
        for i in range(n // PAGE):
            words = struct.unpack_from("<510Q", buf, i * PAGE)
            if set(words[0::3]) != {file} or set(words[1::3]) != {first + i}:
                failures.append(f"file {file}, page {first + i}: bytes of {words[:3]}")
                return
            # (While a page is being written it may be partly new, as on any filesystem.)
            if min(words[2::3]) < seen[first + i]:
                failures.append(f"file {file}, page {first + i}: {min(words[2::3])} after {seen[first + i]}")
                return
            seen[first + i] = min(words[2::3])
    os.close(fd)


for f in range(FILES):
    with open(f"{top}/f{f}", "wb") as new:
        new.write(b"".join(page_of(f, n, 0) for n in range(PAGES)))
threads = [threading.Thread(target=writer, args=(f,)) for f in range(FILES)]
threads += [threading.Thread(target=reader, args=(f, d)) for f in range(FILES) for d in (True, False)]
for t in threads:
    t.start()
for t in threads:
    t.join()
if failures:
    sys.exit("\n".join(failures))
