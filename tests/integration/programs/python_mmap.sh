#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Python's mmap: stores show in reads, flush() commits, resize() and close() keep the content.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
fresh
python3 - "$M/file" <<'END'
import mmap, os, sys
with open(sys.argv[1], "w+b") as f:
    f.truncate(1 << 20)
    m = mmap.mmap(f.fileno(), 0)
    m[0:5] = b"first"
    m[1 << 19:(1 << 19) + 6] = b"middle"
    m[-4:] = b"last"
    assert os.pread(f.fileno(), 5, 0) == b"first", "a read does not see a store"
    os.pwrite(f.fileno(), b"WRITTEN", 100)
    assert m[100:107] == b"WRITTEN", "the mapping does not see a write"
    m.flush()
    assert m.find(b"middle") == 1 << 19
    m.close()
END
crash
python3 - "$M/file" <<'END'
import mmap, sys
with open(sys.argv[1], "r+b") as f:
    m = mmap.mmap(f.fileno(), 0)
    assert len(m) == 1 << 20, len(m)
    assert m[0:5] == b"first" and m[-4:] == b"last" and m[100:107] == b"WRITTEN"
    assert m[1 << 19:(1 << 19) + 6] == b"middle" and m[5:100] == bytes(95)
    m.resize(2 << 20)
    m[-3:] = b"end"
    m.close()
END
ok 'flush() survived kill -9 of the daemon'
remount
equal size "$(stat -c %s "$M/file")" $((2 << 20))
equal 'last bytes' "$(tail -c 3 "$M/file")" end
equal 'first bytes' "$(head -c 5 "$M/file")" first
ok 'resize() and close() survived a new mount'
