#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A page file that is cut short while it is mounted: reads of what is gone are EIO, whichever way they
# take; nothing hangs, the rest can be read.
. "$(dirname "$0")/read_lib.sh" || exit 1

zc_create "$S"
zc_mount "$S" "$M"
for n in 1 2; do
	head -c 3000000 /dev/urandom >"$T/$n"
	cp "$T/$n" "$M/$n"
done
zc_umount "$M"

for options in read=auto read=splice read=map read=copy direct_io=off read_ahead=keep read=splice,direct_io=off; do
	rm -rf "$T/copy" && cp -a "$S" "$T/copy"
	zc_mount "$T/copy" "$M" "$options"
	timeout 60 cmp "$M/1" "$T/1" || fail "$options: before"
	truncate -s 4000000 "$T/copy/pages"
	sync -f "$T/copy/pages"
	python3 - "$M" <<'END' || fail "$options"
import errno, os, sys
def read(name, at, length):
    fd = os.open(f"{sys.argv[1]}/{name}", os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    try:
        return os.pread(fd, length, at)
    except OSError as e:
        assert e.errno == errno.EIO, e
        return None
    finally:
        os.close(fd)
# Both files lie in the first 6 MiB of pages: something is gone, of large reads and of small ones.
for length in (4096, 100000, 1 << 20):
    gone = [name for name in "12" for at in range(0, 2900000, length) if read(name, at, length) is None]
    assert gone, f"all is there by {length}"
    assert len(gone) < 2 * 2900000 // length + 2 or length == 1 << 20, f"nothing is there by {length}"
END
	timeout 60 ls -l "$M" >/dev/null || fail "$options: does not answer any more"
	timeout 60 "$ZCCTL" umount "$M" || fail "$options: does not end"
	ok "$options"
done
