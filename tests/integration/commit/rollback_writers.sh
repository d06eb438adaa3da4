#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Programs that write, store, cut and append while a file is rolled back may lose that, but the file
# stays whole: kernel and daemon agree on its size and bytes, and every rollback succeeds.
. "$(dirname "$0")/commit_lib.sh" || exit 1
zc_create "$S"
for cache in writeback none; do
	zc_mount "$S" "$M" "commit=1,policy=explicit,cache=$cache"
	rm -f "$M/file"
	py - "$M/file" "$ZCCTL" <<'END'
import errno, mmap, os, random, subprocess, sys, time
path, zcctl = sys.argv[1:]
SIZE = 1 << 20
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
os.pwrite(fd, b"o" * SIZE, 0)
os.fsync(fd)
stop = mmap.mmap(-1, 1)


def disturb(seed):
    rnd = random.Random(seed)
    m = mmap.mmap(fd, 4096)  # a page that is never cut off
    while not stop[0] and os.getppid() == parent:
        at = rnd.randrange(SIZE + 100000)
        kind = rnd.randrange(5)
        try:
            if kind == 0:
                m[at % 4096] = ord("n")
            elif kind == 1:
                os.ftruncate(fd, 4096 + at)
            elif kind == 2:
                os.posix_fallocate(fd, 4096 + at, 4096)
            else:
                os.pwrite(fd, b"n" * rnd.randrange(1, 20000), at)
        except OSError as e:
            assert e.errno == errno.EBUSY, e
    os._exit(0)


parent = os.getpid()
children = []
for seed in 1, 2:
    pid = os.fork()
    if pid == 0:
        disturb(seed)
    children.append(pid)
busy = 0
for i in range(15):
    r = subprocess.run([zcctl, "rollback", path], timeout=300, capture_output=True, text=True)
    # EAGAIN: they were faster ten times.
    assert r.returncode == 0 or "another size" in r.stderr, r.stderr
    busy += r.returncode != 0
# Not by SIGKILL: Linux makes a write-back error of the file of an fallocate that is given up.
stop[0] = 1
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
subprocess.run([zcctl, "rollback", path], check=True, timeout=300)
assert os.fstat(fd).st_size == SIZE, os.fstat(fd)
assert os.pread(fd, SIZE * 2, 0) == b"o" * SIZE
os.pwrite(fd, b"the end", SIZE)
os.fsync(fd)
print(f"{busy} of 15 were given up")
END
	crash "commit=1,policy=explicit,cache=$cache"
	equal 'the file' "$(tr -d o <"$M/file")$(stat -c %s "$M/file")" 'the end1048583'
	zc_umount "$M"
	ok "cache=$cache"
done
