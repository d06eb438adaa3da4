# SPDX-License-Identifier: MIT
import itertools
import json
import os
import subprocess
import sys
import time

from mapping import Mapping

mnt, zcctl, plain = sys.argv[1:]
SIZE = 3 << 20      # more than is filled while the open waits


def fact(what):
    return json.loads(subprocess.run([zcctl, 'info', '--json', mnt], check=True,
                                     capture_output=True).stdout)[what]


def wait_images(n):
    for _ in range(400):
        if fact('passthrough_images') == n:
            return
        time.sleep(0.05)
    raise SystemExit('%d images, not %d' % (fact('passthrough_images'), n))


def mark(name, mode):
    os.setxattr(name, 'user.zcfs.live', b'on' if mode == 'passthrough' else b'off')


def check(what, *handles):
    """Each writes, each reads it in every way."""
    for k, writer in enumerate(handles):
        text = b'%s %d' % (what.encode(), k)
        os.pwrite(writer, text, 5000 * k)
        os.pwrite(writer, text, SIZE - 100)
        for reader in handles:
            assert os.pread(reader, len(text), 5000 * k) == text, what + ': read'
            m = Mapping(reader, SIZE)
            assert m.read(5000 * k, len(text)) == text, what + ': mapping'
            m.write(100000, text)
            m.close()
            for third in handles:
                assert os.pread(third, len(text), 100000) == text, what + ': a store'
        os.fsync(writer)


for first, second in itertools.product((plain, 'passthrough'), repeat=2):
    for flags in (os.O_RDWR, os.O_RDWR | os.O_DIRECT, os.O_RDWR | os.O_APPEND):
        what = '%s, then %s' % (first, second)
        name = '%s/%s-%s-%d' % (mnt, first, second, flags)
        with open(name, 'wb') as f:
            f.truncate(SIZE)
            f.write(b'begin')
        mark(name, first)
        wait_images(0)
        a = os.open(name, os.O_RDWR)
        assert os.pread(a, 5, 0) == b'begin'
        assert fact('passthrough_images') == (first == 'passthrough'), what
        mark(name, second)
        b = os.open(name, flags)
        assert fact('passthrough_images') == (first == 'passthrough'), what
        c = os.open(name, os.O_RDONLY)
        if not flags & (os.O_DIRECT | os.O_APPEND):
            check(what, a, b)
        else:
            os.pwrite(a, b'other', 0)
            if flags & os.O_DIRECT:
                m = Mapping(b, SIZE)
                assert m.read(0, 5) == b'other'
                m.close()
            else:
                os.write(b, b'appended')
                assert os.pread(a, 8, SIZE) == b'appended'
        assert os.pread(c, 5, 0) == os.pread(a, 5, 0)
        # While one is left, the mode stays.
        os.close(a)
        os.close(c)
        d = os.open(name, os.O_RDWR)
        assert fact('passthrough_images') == (first == 'passthrough'), what
        os.pwrite(d, b'fourth', 20000)
        assert os.pread(b, 6, 20000) == b'fourth'
        os.close(b)
        os.close(d)
        # When none is left, the next one decides anew, and finds all the bytes.
        wait_images(0)
        e = os.open(name, os.O_RDONLY)
        assert fact('passthrough_images') == (second == 'passthrough'), what
        assert os.pread(e, 6, 20000) == b'fourth', what + ': then a stale page'
        os.close(e)
        wait_images(0)
    print('ok: %s' % what)

# What the page cache had before is not what is read after a time of being passed through.
name = mnt + '/stale'
with open(name, 'wb') as f:
    f.write(b'a' * 100000)
for k in range(6):
    mark(name, 'passthrough' if k % 2 else plain)
    with open(name, 'r+b', buffering=0) as f:
        want = b'abcdef'[k - 1:k] if k else b'a'
        assert f.read() == want * 100000, 'time %d: stale pages' % k
        f.seek(0)
        f.write(b'abcdef'[k:k + 1] * 100000)
    wait_images(0)
print('ok: no stale pages after %d changes of the mode' % k)
