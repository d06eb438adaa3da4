# SPDX-License-Identifier: MIT
"""msync_warning.py FILE msync|fsync TEXT: store TEXT through a mapping, make it durable that way, say
so, and wait: an end would close the file, which is a chance for the daemon to take the bytes."""
import os
import sys
import time

from mapping import Mapping

fd = os.open(sys.argv[1], os.O_RDWR)
m = Mapping(fd, 4096)
m.write(0, sys.argv[3].encode())
if sys.argv[2] == 'msync':
    assert m.sync() == 0, 'msync'
else:
    os.fsync(fd)
print('done', flush=True)
time.sleep(600)
