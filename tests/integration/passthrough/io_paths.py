# SPDX-License-Identifier: MIT
import json
import os
import subprocess
import sys

from mapping import Mapping

PAGE = 4096


def expected(path):
    with open(path, 'rb') as f:
        data = bytearray(f.read())
    data[5:10] = b'write'
    data[PAGE * 3:PAGE * 3 + 4] = b'mmap'
    data[1000000:1000006] = b'vector'
    data += b'appended'
    return data


if sys.argv[1] == 'verify':
    with open(sys.argv[2], 'rb') as f:
        assert f.read() == expected(sys.argv[3])
    sys.exit()

name, original, zcctl = sys.argv[1:]


def counters():
    j = json.loads(subprocess.run([zcctl, 'info', '--json', os.path.dirname(name)], check=True,
                                  capture_output=True).stdout)
    return j['requests'], j['write_bytes'], j['read_bytes']


want = expected(original)
fd = os.open(name, os.O_RDWR)
other = os.open(name, os.O_RDONLY)
append = os.open(name, os.O_WRONLY | os.O_APPEND)
m = Mapping(fd, PAGE * 800)
size = os.fstat(fd).st_size
out, sink = os.pipe()
copy = os.memfd_create('copy')
# (What libc and the kernel ask once is behind us.)
os.pread(fd, 1, 0)
before = counters()
os.pwrite(fd, b'write', 5)
assert m.read(5, 5) == b'write', 'a mapping does not see write(2)'
assert os.pread(other, 5, 5) == b'write', 'read(2) does not see write(2)'
m.write(PAGE * 3, b'mmap')
assert os.pread(other, 4, PAGE * 3) == b'mmap', 'read(2) does not see a store'
os.pwritev(fd, [b'vec', b'tor'], 1000000)
assert m.read(1000000, 6) == b'vector'
os.write(append, b'appended')
sent = 0
while True:
    n = os.sendfile(copy, other, sent, 1 << 20)
    if n == 0:
        break
    sent += n
assert os.pread(copy, sent + 1, 0) == want, 'sendfile: other bytes'
n = os.splice(other, sink, PAGE, offset_src=PAGE * 3)
assert os.read(out, PAGE) == bytes(want[PAGE * 3:PAGE * 3 + n]), 'splice: other bytes'
os.write(sink, b'W')
assert os.splice(out, fd, 1, offset_dst=0) == 1
os.pwrite(fd, want[:1], 0)
for at in range(0, size, 65536):
    assert os.pread(other, 65536, at) == want[at:at + 65536]
after = counters()
print('requests:', after[0] - before[0])
assert after[1:] == before[1:], 'bytes went through the daemon'
# Attributes, which a write makes the kernel ask for again: a few; the calls above are above 60.
assert after[0] - before[0] < 30, 'requests: %d' % (after[0] - before[0])
assert os.fstat(other).st_size == len(want) == os.stat(name).st_size, 'size'
print('ok: read, write, append, sendfile, splice and mmap, no byte through the daemon')

# O_DIRECT is taken by the memory as well
direct = os.open(name, os.O_RDWR | os.O_DIRECT)
assert os.pread(direct, 5, 5) == b'write'
os.close(direct)

# Holes, allocation, sizes and copies reach the daemon, which does them to the memory
os.ftruncate(fd, len(want) + 3 * PAGE * 256)
assert os.fstat(other).st_size == len(want) + 3 * PAGE * 256
end = (len(want) + PAGE) // PAGE * PAGE
try:
    os.lseek(other, end + PAGE, os.SEEK_DATA)
    raise SystemExit('no hole behind the old end')
except OSError:
    pass
assert os.lseek(other, 0, os.SEEK_HOLE) >= len(want)
os.posix_fallocate(fd, end, PAGE)
m2 = Mapping(fd, PAGE, offset=end)
m2.write(0, b'behind')
assert os.copy_file_range(fd, fd, PAGE, offset_src=end, offset_dst=end + 2 * PAGE) == PAGE
assert os.pread(other, 6, end + 2 * PAGE) == b'behind'
os.truncate(name, len(want))
assert os.fstat(fd).st_size == len(want)
# Room for all of it is not taken from the memory.
os.posix_fallocate(fd, 0, 1 << 30)
st = os.fstat(fd)
assert st.st_size == 1 << 30 and st.st_blocks * 512 < 64 << 20, st
os.truncate(name, len(want))
assert os.pread(other, PAGE * 4, len(want) - 8) == b'appended'
print('ok: O_DIRECT, truncation, holes, allocation and copies')
