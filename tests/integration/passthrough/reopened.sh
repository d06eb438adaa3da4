#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Files are opened again at the moment when their images are given up: every open succeeds, the daemon
# lives on, and stat(2) never shows a size or a ctime from before.
. "$(dirname "$0")/pt.sh" || exit 1
fresh passthrough=all,commit=0
python3 "$ZC_SRC/tests/integration/passthrough/ctime.py" "$M"
python3 "$ZC_SRC/tests/integration/passthrough/set_times.py" "$M"
python3 "$ZC_SRC/tests/integration/passthrough/synced_splice.py" "$M"
pids=()
for i in {1..4}; do
	python3 "$ZC_SRC/tests/integration/passthrough/reopened.py" "$M/$i" 2 &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	wait "$pid" || fail 'one of them failed'
done
images 0
