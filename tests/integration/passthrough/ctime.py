# SPDX-License-Identifier: MIT
"""ctime.py DIR: what a rename made of ctime stays, also when the bytes of before go to the store."""
import os
import sys
import time


def later(what, st):
    assert st.st_ctime_ns > st.st_mtime_ns, what + ': ctime went back'


os.chdir(sys.argv[1])
for n in range(30):
    with open('from', 'wb') as f:
        f.write(b'bytes')
    before = os.stat('from')
    time.sleep(0.02)
    os.rename('from', 'to')
    later(f'{n}, renamed', os.stat('to'))
    assert os.stat('to').st_mtime_ns == before.st_mtime_ns, 'mtime of before, while the bytes go to the store'
    time.sleep(0.02)
    later(f'{n}, a moment later', os.stat('to'))
fd = os.open('from', os.O_RDWR | os.O_CREAT, 0o600)
os.write(fd, b'bytes')
time.sleep(0.02)
os.rename('from', 'to')
later('open', os.fstat(fd))
os.fsync(fd)
later('after fsync', os.fstat(fd))
print('ok: ctime of a rename')
