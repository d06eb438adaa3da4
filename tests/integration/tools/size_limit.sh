#!/bin/bash
# SPDX-License-Identifier: MIT
#
# create --size 16M: a full store says ENOSPC, keeps what was synced, and gives space back.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
zc_create "$S" --size 16M
zc_mount "$S" "$M" commit=1
free() { df --output=avail -B 1M "$M" | tail -n 1 | tr -d ' '; }
start=$(free)
((start >= 12 && start <= 16)) || fail "$start MiB free in an empty store of 16 MiB"

# fill WAY: until ENOSPC by this call; prints how many MiB were synced
fill() {
	python3 - "$M" "$1" <<'END'
import errno, os, sys
os.chdir(sys.argv[1])
where = "nowhere"
done = 0
for i in range(40):
    fd = os.open(f"{sys.argv[2]}{i}", os.O_WRONLY | os.O_CREAT)
    try:
        if sys.argv[2] == "fallocate":
            where = "fallocate"
            os.posix_fallocate(fd, 0, 1 << 20)
        where = "write"
        for part in range(4):
            os.write(fd, bytes([65 + i]) * (1 << 18))
        if sys.argv[2] != "close":
            where = "fsync"
            os.fsync(fd)
        where = "close"
        last, fd = fd, -1
        os.close(last)
    except OSError as e:
        assert e.errno == errno.ENOSPC, f"{where}: {e}"
        if fd >= 0:
            try:
                os.close(fd)
            except OSError as e:
                assert e.errno == errno.ENOSPC, f"close: {e}"
        os.unlink(f"{sys.argv[2]}{i}")
        break
    done += 1
else:
    raise AssertionError("40 MiB fit in a store of 16 MiB")
print(done, where)
END
}
verify() { # WAY COUNT
	python3 - "$M" "$@" <<'END'
import os, sys
os.chdir(sys.argv[1])
for i in range(int(sys.argv[3])):
    with open(f"{sys.argv[2]}{i}", "rb") as f:
        assert f.read() == bytes([65 + i]) * (1 << 20), f"{sys.argv[2]}{i}"
END
}
is_free() { (($(free) >= start - 1)); }
for way in fsync close fallocate; do
	out=$(fill "$way") || fail "filling by $way"
	read -r count where <<<"$out"
	((count >= 9 && count <= 16)) || fail "$count MiB fit in a store of 16 MiB"
	verify "$way" "$count"
	ok "$way: $count MiB fit, then $where says ENOSPC"
	if [[ $way != close ]]; then
		crash commit=1
		verify "$way" "$count"
	fi
	rm "$M/$way"*
	soon 120 is_free
done
remount
is_free || fail "$(free) MiB free after a new mount, $start at first"
ok 'removed files give their space back'
fails 1 bash -c "truncate -s 1M '$M/hole' && fallocate -l 20M '$M/hole'"
grep -q 'No space left' "$T/fails.err" || fail "fallocate of 20 MiB: $(<"$T/fails.err")"
is_free || fail 'a refused fallocate keeps space'
