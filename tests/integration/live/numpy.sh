#!/bin/bash
# SPDX-License-Identifier: MIT
#
# numpy.memmap, unmodified: flush() commits a paged file on a default mount, and with
# libzc-preload.so a live one on a mount with -o passthrough; without that library there it commits
# nothing. On a default mount a file that is live cannot be mapped for writing, and says so.
. "$(dirname "$0")/live_lib.sh" || exit 1
# The distribution's package belongs to the distribution's Python.
python=
for p in python3 /usr/bin/python3; do
	! "$p" -c 'import numpy' 2>/dev/null || python=$p
done
if [[ -z $python ]]; then
	[[ ${CI:-} != true ]] || fail 'numpy is not installed; scripts/install-deps.sh test installs it'
	skip 'numpy is not installed'
fi
np() { timeout 120 "$python" "$HERE/numpy_memmap.py" "$@"; }

# flushed VALUE [preloaded]: the array is set and flushed, stored to once more, then all is killed
flushed() {
	rm -f "$T/fifo" "$T/out"
	mkfifo "$T/fifo"
	${2-} timeout 100 "$python" "$HERE/numpy_memmap.py" "$M/array" set "$1" <"$T/fifo" >"$T/out" &
	local pid=$!
	exec 8>"$T/fifo"
	soon 60 grep -qs flushed "$T/out"
	zc_kill "$M"
	exec 8>&-
	kill "$pid" 2>/dev/null || true # timeout(1) passes it on
	wait "$pid" 2>/dev/null || true
	zc_check "$S"
}

fresh policy=explicit,commit=0
np "$M/array" create
flushed 2.5
zc_mount "$S" "$M" policy=explicit,commit=0
np "$M/array" check 2.5
ok 'a paged file on a default mount'

"$COUNTER" --processes 1 --commits 100000 "$M/live" >"$T/counter" &
counter=$!
soon 30 test -s "$T/counter"
truncate -s 2400000 "$M/live"
equal 'the error for a live file' "$(np "$M/live" refused)" 'No such device'
kill "$counter"
wait "$counter" || true
ok 'a live file on a default mount is refused'
soon 60 "$ZCCTL" umount "$M" 2>"$T/busy" # (its children end a moment later)

[[ $(id -u) == 0 ]] || skip 'passthrough needs root'
zc_mount "$S" "$M" passthrough=all,policy=explicit,commit=0
"$ZCCTL" info --json "$M" >"$T/info.json"
flushed 7.5 preloaded
zc_mount "$S" "$M" passthrough=all,policy=explicit,commit=0
np "$M/array" check 7.5
ok 'a live file on a mount with -o passthrough, with libzc-preload.so'
flushed 9.5
zc_mount "$S" "$M" passthrough=all,policy=explicit,commit=0
np "$M/array" check 7.5
ok 'without it flush() commits nothing, as documented'
