# SPDX-License-Identifier: MIT
"""synced_splice.py DIR: sendfile and copy_file_range from a handle with O_DSYNC show what others have written."""
import os
import sys
import time

os.chdir(sys.argv[1])
PAGE = 4096
to = os.memfd_create('to')
a = os.open('synced', os.O_RDWR | os.O_CREAT, 0o600)
os.pwrite(a, b'0' * 4 * PAGE, 0)
b = os.open('synced', os.O_RDWR | os.O_DSYNC)
copy = os.open('copy', os.O_RDWR | os.O_CREAT, 0o600)
for n in range(1, 10):
    assert os.copy_file_range(b, copy, 2 * PAGE, 1000, 0) == 2 * PAGE
    assert os.sendfile(to, b, 0, 2 * PAGE) == 2 * PAGE
    time.sleep(0.2)  # the kernel is told to forget it
    os.pwrite(a, b'%d' % n * 4 * PAGE, 0)
    os.lseek(to, 0, os.SEEK_SET)
    assert os.sendfile(to, b, 0, 2 * PAGE) == 2 * PAGE
    assert os.pread(to, 2 * PAGE, 0) == b'%d' % n * 2 * PAGE, f'sendfile {n}'
    time.sleep(0.2)
    os.pwrite(a, b'%dx' % n * 2 * PAGE, 0)
    assert os.copy_file_range(b, copy, 2 * PAGE, 1000, 0) == 2 * PAGE
    assert os.pread(copy, 2 * PAGE, 0) == b'%dx' % n * PAGE, f'copy_file_range {n}'
print('ok: spliced from a handle with O_DSYNC')
