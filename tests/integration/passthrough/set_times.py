# SPDX-License-Identifier: MIT
"""set_times.py DIR: times that a program sets stay, also when the file was closed just before, and what was
written is on its way to the store."""
import os
import sys
import time

SIZE = 8 << 20
SET = 1_000_000_000_123_456_789

os.chdir(sys.argv[1])
with open('timed', 'wb') as file:
    file.write(b'x' * SIZE)
for n in range(100):
    fd = os.open('timed', os.O_RDWR)
    for page in range(0, SIZE, 64 << 10):
        os.pwrite(fd, b'%8d' % n, page)
    os.close(fd)
    time.sleep(n % 40 / 4000)
    os.utime('timed', ns=(SET + n, SET + n))
    found = [os.stat('timed').st_mtime_ns]
    time.sleep(0.01)
    found.append(os.stat('timed').st_mtime_ns)
    assert found == [SET + n] * 2, f'{n}: {found}, set to {SET + n}'
print('ok: times that were set')
