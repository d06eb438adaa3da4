#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Between BEGIN and END of a rollback what is written is dropped, fallocate is refused, and END is
# refused (EAGAIN) while the kernel has another size than the committed one.
. "$(dirname "$0")/commit_lib.sh" || exit 1
zc_create "$S"
for cache in writeback none; do
	zc_mount "$S" "$M" "commit=0,policy=explicit,cache=$cache"
	rm -f "$M/file"
	py - "$M/file" "$cache" <<'END'
import errno as e, os, sys
import zcproto as z
path, cache = sys.argv[1:]
OLD = b"o" * 10000
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
os.pwrite(fd, OLD, 0)
os.utime(fd, ns=(10**18, 10**18))
os.fsync(fd)
os.chmod(path, 0o600)
os.pwrite(fd, b"n" * 20000, 0)
one, c = z.client(fd)
number, size, mtime = c.begin(one)
assert (size, mtime) == (10000, 10**18), (size, mtime)
if cache == "writeback":
    print(z.refused(e.EAGAIN, c.end, number))
    os.ftruncate(fd, size)
    os.pwrite(fd, b"behind", 12000)
    z.refused(e.EAGAIN, c.end, number)
os.ftruncate(fd, size)
os.utime(fd, ns=(mtime, mtime))
z.refused(e.EBUSY, os.posix_fallocate, fd, 0, 50000)
src = os.open(path + ".src", os.O_RDWR | os.O_CREAT)
os.pwrite(src, b"s" * 4096, 0)
z.refused(e.EBUSY, os.copy_file_range, src, fd, 4096, 0, 0)
os.pwrite(fd, b"dropped", 100)
os.fsync(fd)
os.chmod(path, 0o640)                       # names and attributes are not part of it
c.end(number)
assert os.pread(fd, 50000, 0) == OLD
st = os.fstat(fd)
assert (st.st_size, st.st_mode & 0o777) == (10000, 0o640), st
z.refused(e.EINVAL, c.end, number)          # it is over
os.posix_fallocate(fd, 0, 50000)
os.ftruncate(fd, 4)
os.fsync(fd)
one = z.ticket(fd)[0]                       # the connection takes another one
number, size, mtime = c.begin(one)
z.refused(e.EBUSY, c.begin, z.ticket(src)[0])
os.ftruncate(fd, size)
c.end(number)
assert os.pread(fd, 100, 0) == b"oooo"
END
	zc_umount "$M"
	zc_check "$S"
	ok "cache=$cache"
done
