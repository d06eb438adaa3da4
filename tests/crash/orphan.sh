#!/bin/bash
# SPDX-License-Identifier: MIT
# A file that is unlinked while it is open, and then a crash: the next mount gives its space back.
. "$(dirname "$0")/../support/lib.sh" || exit 1
. "$(dirname "$0")/common.sh" || exit 1

store="$T/store" mnt="$T/mnt"
mb=64

free_kb() {
	stat -f -c '%f %S' "$mnt" | awk '{ printf "%d\n", $1 * $2 / 1024 }'
}

# Asked again after a commit each time: space comes back with one.
space_is_back() {
	local now
	echo "$RANDOM" >"$mnt/tick"
	sync "$mnt/tick"
	now=$(free_kb)
	((now >= before - 4096))
}

# What host space the store has to grow into counts as free too: fix it, the host has other users.
zc_create "$store" --size 256M
zc_mount "$store" "$mnt"
echo 0 >"$mnt/tick"
sync "$mnt/tick"
before=$(free_kb)

for how in synced "not synced"; do
	exec 9<>"$mnt/victim"
	head -c $((mb << 20)) /dev/urandom >&9
	[[ $how != synced ]] || sync "$mnt/victim"
	rm "$mnt/victim"
	sync "$mnt" # the unlinking is committed, the file is an orphan
	if [[ $how == synced ]]; then
		((before - $(free_kb) > (mb - 4) * 1024)) ||
			fail "$how: $mb MiB are in use by an open file, but free space is $(free_kb) KiB of $before"
		# Still readable through the handle.
		[[ $(stat -L -c %s /proc/self/fd/9) == $((mb << 20)) ]] || fail "$how: lost its size"
	fi
	zc_kill "$mnt"
	exec 9>&- || true
	zc_check "$store"
	zc_mount "$store" "$mnt"
	[[ ! -e "$mnt/victim" ]] || fail "$how: the unlinked name is back"
	zc_wait 200 space_is_back || fail "$how: free is $(free_kb) KiB, was $before KiB before"
	echo "$how: space is back, $(free_kb) KiB free of $before"
done
zc_umount "$mnt"
zc_check "$store"
echo "ok: orphans are reaped after a crash"
