# SPDX-License-Identifier: MIT
"""mmap(2) as it is: no second descriptor that holds the file open, as Python's own has."""
import ctypes
import mmap
import os

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.msync.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Mapping:
    def __init__(self, fd, length, writable=True, offset=0):
        prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        at = libc.mmap(None, length, prot, mmap.MAP_SHARED, fd, offset)
        if at in (None, ctypes.c_void_p(-1).value):
            raise OSError(ctypes.get_errno(), 'mmap: ' + os.strerror(ctypes.get_errno()))
        self.at, self.length = at, length

    def read(self, offset, n):
        return ctypes.string_at(self.at + offset, n)

    def write(self, offset, data):
        ctypes.memmove(self.at + offset, data, len(data))

    def sync(self):
        """The result of msync(2): 0, or -1."""
        return libc.msync(self.at, self.length, 4)

    def close(self):
        libc.munmap(self.at, self.length)
