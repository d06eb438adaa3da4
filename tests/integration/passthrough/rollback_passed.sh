#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Rollback, and a commit of several files, of files that are passed through and mapped.
. "$(dirname "$0")/pt.sh" || exit 1
fresh passthrough,policy=explicit,commit=0
live "$M"
python3 - "$M" "$ZCCTL" <<'P'
import os, subprocess, sys
from mapping import Mapping
mnt, zcctl = sys.argv[1:]
SIZE = 100000
files = {}
for name in 'ab':
    fd = os.open(f'{mnt}/{name}', os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(fd, b'old ' * (SIZE // 4), 0)
    os.fsync(fd)
    files[name] = (fd, Mapping(fd, SIZE))

fd, m = files['a']
for size in SIZE, 300000, 5000:
    m.write(0, b'new')
    os.pwrite(fd, b'new', 4000)
    os.ftruncate(fd, size)
    if size > SIZE:
        os.pwrite(fd, b'behind', size - 6)
    subprocess.run([zcctl, 'rollback', f'{mnt}/a'], check=True, timeout=60)
    assert os.fstat(fd).st_size == SIZE, 'size %d' % os.fstat(fd).st_size
    assert os.pread(fd, 400000, 0) == b'old ' * (SIZE // 4), 'bytes by read'
    assert m.read(0, SIZE) == b'old ' * (SIZE // 4), 'bytes by the mapping'
print('ok: rolled back, changed, grown, and cut')

for name in 'ab':
    files[name][1].write(8, b'both')
subprocess.run([zcctl, 'commit', f'{mnt}/a', f'{mnt}/b'], check=True, timeout=60)
files['a'][1].write(8, b'lost')
P
crash passthrough,policy=explicit,commit=0
for file in a b; do
	equal "$file after a crash" "$(dd if="$M/$file" bs=1 skip=8 count=4 status=none)" both
done
ok 'a commit of both took the stores through both mappings'
