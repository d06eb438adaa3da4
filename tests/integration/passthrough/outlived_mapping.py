# SPDX-License-Identifier: MIT
import json
import os
import subprocess
import sys
import time

from mapping import Mapping

mnt, zcctl = sys.argv[1:]
name = mnt + '/file'


def fact(what):
    return json.loads(subprocess.run([zcctl, 'info', '--json', mnt], check=True,
                                     capture_output=True).stdout)[what]


def wait(what, value):
    for _ in range(400):
        if fact(what) == value:
            return
        time.sleep(0.05)
    raise SystemExit('%s is %s, not %s' % (what, fact(what), value))


def read(offset, n, path=name):
    with open(path, 'rb', buffering=0) as f:
        return os.pread(f.fileno(), n, offset)


fd = os.open(name, os.O_RDWR)
m = Mapping(fd, 1000000)
os.close(fd)
wait('passthrough_lingering', 1)
m.write(200000, b'committed')
assert read(200000, 9) == b'committed', 'a new open does not see the store'
fd = os.open(name, os.O_RDONLY)
m.write(300000, b'again')
assert os.pread(fd, 5, 300000) == b'again'
os.fsync(fd)
os.close(fd)
wait('passthrough_lingering', 1)
time.sleep(1.5)     # (the daemon looks every second whether it is gone)
m.write(100000, b'stored')
assert read(100000, 6) == b'stored'
print('ok: stores after the last close are seen by new opens')
m.close()
wait('passthrough_images', 0)
assert read(100000, 6) == b'stored'
print('ok: and are in the store when the mapping is gone')

# A mapping for reading only has to see the writes of later opens, too.
fd = os.open(mnt + '/read', os.O_RDONLY)
r = Mapping(fd, 1000000, writable=False)
os.close(fd)
wait('passthrough_lingering', 1)
time.sleep(1.5)
with open(mnt + '/read', 'r+b', buffering=0) as f:
    f.write(b'late')
assert r.read(0, 4) == b'late', 'a mapping for reading is of another image'
r.close()
wait('passthrough_images', 0)
assert read(0, 4, mnt + '/read') == b'late'
print('ok: a mapping for reading keeps the image, too')
