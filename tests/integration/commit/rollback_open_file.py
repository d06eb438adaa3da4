# SPDX-License-Identifier: MIT
"""rollback_open_file.py FILE ZCCTL: see rollback_open_file.sh."""
import mmap
import os
import subprocess
import sys

path, zcctl = sys.argv[1:]
SIZE = 10 * 4096 + 100
OLD = bytes(65 + i // 4096 for i in range(SIZE))


def reader(into, out):
    """Another process with the file mapped: tells what it sees whenever it is asked."""
    with open(path, "rb") as f:
        m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
        while os.read(into, 1):
            os.write(out, bytes(m[i] for i in range(0, min(SIZE, os.fstat(f.fileno()).st_size), 4096)))
    os._exit(0)


def change_in_place(fd, m):
    os.pwrite(fd, b"x" * 8192, 4096)
    m[20000:30000] = b"y" * 10000


def grow(fd, m):
    change_in_place(fd, m)
    os.pwrite(fd, b"z" * 100000, SIZE)


def grow_by_truncate(fd, m):
    os.ftruncate(fd, 1 << 20)


def cut(fd, m):
    os.pwrite(fd, b"x" * 4096, 0)
    os.ftruncate(fd, 4096)


def cut_within_a_page(fd, m):
    os.ftruncate(fd, 5000)
    os.pwrite(fd, b"x", 4999)


def empty(fd, m):
    os.ftruncate(fd, 0)


def deliver(fd, m):
    grow(fd, m)
    os.close(os.dup(fd))


fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
os.write(fd, OLD)
os.utime(fd, ns=(10**18, 1234567890123456789))
os.fsync(fd)
m = mmap.mmap(fd, SIZE)
ask, answer = os.pipe(), os.pipe()
if os.fork() == 0:
    os.close(ask[1])
    reader(ask[0], answer[1])


def seen():
    os.write(ask[1], b"?")
    return os.read(answer[0], 100)


assert seen() == OLD[::4096]
for change in change_in_place, grow, grow_by_truncate, cut, cut_within_a_page, empty, deliver:
    change(fd, m)
    subprocess.run([zcctl, "rollback", path], check=True, timeout=300)
    st = os.fstat(fd)
    assert st.st_size == SIZE, f"{change.__name__}: size {st.st_size}"
    assert st.st_mtime_ns == 1234567890123456789, f"{change.__name__}: mtime {st.st_mtime_ns}"
    assert os.pread(fd, 1 << 21, 0) == OLD, f"{change.__name__}: bytes by read"
    assert m[:] == OLD, f"{change.__name__}: bytes through the mapping"
    assert seen() == OLD[::4096], f"{change.__name__}: another process' mapping"
    with open(path, "rb") as f:
        assert f.read() == OLD, f"{change.__name__}: bytes of a new open"
    assert os.stat(path).st_size == SIZE

# It goes on as any file.
m[0:5] = b"again"
os.pwrite(fd, b"end", SIZE)
os.fsync(fd)
assert os.pread(fd, 1 << 21, 0) == b"again" + OLD[5:] + b"end"
