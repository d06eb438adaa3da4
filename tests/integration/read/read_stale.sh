#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Pages are replaced and used again while they are read: no reader sees what is older than it has seen, or
# another file's. And what is in a reader's cache stays when the page file changes below it, also where
# pages were moved there by a splice.
. "$(dirname "$0")/read_lib.sh" || exit 1

zc_create "$S"
for options in read=auto read=splice read=map read=copy direct_io=off; do
	zc_mount "$S" "$M" "$options"
	timeout 300 python3 "$(dirname "$0")/read_stale.py" "$M" || fail "$options"
	leave
done

for options in read=splice read=auto; do
	zc_mount "$S" "$M"
	python3 -c 'import sys; open(sys.argv[1], "wb").write(b"what was written.." * 60000)' "$M/kept"
	zc_umount "$M"
	rm -rf "$T/copy" && cp -a "$S" "$T/copy"
	zc_mount "$T/copy" "$M" "$options"
	python3 - "$M/kept" "$T/copy/pages" <<'END' || fail "$options: the cache shows the page file"
import mmap, os, sys
want = b"what was written.." * 60000
pages = os.open(sys.argv[2], os.O_RDWR)
os.posix_fadvise(pages, 0, 0, os.POSIX_FADV_DONTNEED)
with open(sys.argv[1], "rb") as f:
    assert f.read() == want
    size = os.fstat(pages).st_size
    for flags in (os.O_RDWR | os.O_DIRECT, os.O_RDWR):
        fd = os.open(sys.argv[2], flags)
        junk = mmap.mmap(-1, 1 << 20)
        junk[:] = b"j" * (1 << 20)
        for at in range(0, size, 1 << 20):
            os.pwritev(fd, [memoryview(junk)[:min(1 << 20, size - at)]], at)
        os.close(fd)
        f.seek(0)
        assert f.read() == want
        with mmap.mmap(f.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ) as m:
            assert m[:] == want
END
	zc_umount "$M"
	ok "$options: the cache is the reader's own"
done
