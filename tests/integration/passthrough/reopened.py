# SPDX-License-Identifier: MIT
"""reopened.py FILE SECONDS: open, cut and close it; stat has to tell its size at any moment."""
import os
import random
import sys
import time

name, seconds = sys.argv[1], float(sys.argv[2])
rng = random.Random(name)
opens = 0
end = time.monotonic() + seconds
while time.monotonic() < end or opens < 50:
    size = rng.randrange(1, 100000)
    # (Some do not wait, also not for a lease.)
    fd = os.open(name, os.O_RDWR | os.O_CREAT | (os.O_NONBLOCK if opens % 2 else 0), 0o600)
    os.ftruncate(fd, size)
    os.close(fd)
    opens += 1
    for _ in range(rng.randrange(20)):
        got = os.stat(name).st_size
        assert got == size, f'{opens} opens: size {got} instead of {size}'
print(f'ok: {opens} opens')
