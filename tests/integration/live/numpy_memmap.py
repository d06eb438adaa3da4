# SPDX-License-Identifier: MIT
"""numpy_memmap.py FILE create|set VALUE|check VALUE|refused - numpy.memmap with flush(), unmodified."""
import sys

import numpy

path, verb = sys.argv[1:3]
shape = (300, 1000)
if verb == "create":
    a = numpy.memmap(path, dtype="float64", mode="w+", shape=shape)
    a[:] = 1
    a.flush()
elif verb == "set":
    a = numpy.memmap(path, dtype="float64", mode="r+", shape=shape)
    a += 0  # every page
    a[:, ::7] = float(sys.argv[3])
    a.flush()
    a[1, :] = -1  # after the flush: not to be seen after a crash
    print("flushed", flush=True)
    sys.stdin.read()
elif verb == "check":
    a = numpy.memmap(path, dtype="float64", mode="r", shape=shape)
    want = numpy.ones(shape)
    want[:, ::7] = float(sys.argv[3])
    assert (a == want).all(), f"{(a != want).sum()} elements are not {sys.argv[3]}"
elif verb == "refused":
    try:
        numpy.memmap(path, dtype="float64", mode="r+", shape=shape)
    except OSError as e:
        print(e.strerror)
    else:
        sys.exit("it was mapped")
