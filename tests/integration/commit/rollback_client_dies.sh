#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A client of a rollback that is killed between BEGIN and END leaves a file that can be used: its
# committed bytes at the size that the kernel has; another rollback gives it its committed size.
. "$(dirname "$0")/commit_lib.sh" || exit 1
zc_create "$S"
for cache in writeback none; do
	zc_mount "$S" "$M" "commit=0,policy=explicit,cache=$cache"
	py - "$M/file" "$ZCCTL" "$cache" <<'END'
import os, signal, subprocess, sys, time
import zcproto as z
path, zcctl, cache = sys.argv[1:]
OLD = b"o" * 10000
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def killed_client(truncates):
    pipe = os.pipe()
    pid = os.fork()
    if pid == 0:
        one, c = z.client(fd)
        number, size, mtime = c.begin(one)
        assert size == len(OLD)
        if truncates:
            os.ftruncate(fd, size)
        os.write(pipe[1], b"x")
        signal.pause()
    assert os.read(pipe[0], 1) == b"x"
    one, c = z.client(fd)
    z.refused(16, c.begin, one)  # EBUSY: one rollback of a file at a time
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    # It ends by itself: until then, space for the file is refused. (It has the first page already.)
    for i in range(1200):
        try:
            os.posix_fallocate(fd, 0, 1)
            return
        except OSError as e:
            assert e.errno == 16, e
        time.sleep(0.1)
    raise AssertionError("the rollback of a dead client does not end")


for truncates in False, True:
    for length in 3, 10000, 30000:
        os.ftruncate(fd, 0)
        os.pwrite(fd, OLD, 0)
        os.fsync(fd)
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"n" * length, 0)
        killed_client(truncates)
        data = os.pread(fd, 100000, 0)
        size = os.fstat(fd).st_size
        assert size == len(data), f"size {size}, bytes {len(data)}"
        if cache == "none" or truncates:
            assert data == OLD, f"{len(data)} bytes"
        else:
            assert data == OLD[:length] + bytes(max(0, length - len(OLD))), f"{len(data)} bytes"
        subprocess.run([zcctl, "rollback", path], check=True, timeout=300)
        assert os.pread(fd, 100000, 0) == OLD and os.fstat(fd).st_size == len(OLD)
        os.pwrite(fd, b"usable", len(OLD))
        os.fsync(fd)
        assert os.pread(fd, 100000, 0) == OLD + b"usable"
os.ftruncate(fd, 6)
os.pwrite(fd, b"usable", 0)
os.fsync(fd)
END
	crash commit=0
	content "$M/file" usable
	zc_umount "$M"
	zc_check "$S"
	ok "cache=$cache"
done
