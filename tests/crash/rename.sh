#!/bin/bash
# SPDX-License-Identifier: MIT
# A file that was written (or mapped) and not synced is renamed over another while it is still open
# for writing, and the daemon is killed around that: the name shows the old or the new content.
# The same for an exchange, and for a file without a name that gets one.
# usage: rename.sh small|big
. "$(dirname "$0")/../support/lib.sh" || exit 1
. "$(dirname "$0")/common.sh" || exit 1

store="$T/store" mnt="$T/mnt"
size=40960 # of an old content
options=commit=3600
old=1 old_size=$size version=1 cuts=0 news=0 olds=0

# cut HOW SIZE MICROSECONDS: one crash, and what it left.
cut() {
	local how=$1 new_size=$2 us=$3 pid did found
	version=$((version + 1))
	mountpoint -q "$mnt" || zc_mount "$store" "$mnt" "$options"
	pid=$(zc_pid "$mnt")
	did=$("$bin/renamecut" cut "$mnt" "$how" "$old" "$old_size" "$version" "$new_size" "$us" "$pid") ||
		fail "$how, killed $us us after the start: $did"
	after_kill "$pid" "$mnt"
	cuts=$((cuts + 1))
	((cuts % 10)) || zc_check "$store"
	zc_mount "$store" "$mnt" "$options"
	found=$("$bin/renamecut" verify "$mnt" "$old" "$old_size" "$version" "$new_size") ||
		fail "$how, killed $us us after the start ($did): neither old nor new"
	if [[ $found == new ]]; then
		old=$version old_size=$new_size news=$((news + 1))
	else
		[[ $did != committed* ]] ||
			fail "$how, $us us: the new name was committed, the old content came back"
		olds=$((olds + 1))
	fi
	echo "$how $new_size bytes, killed after $us us: $did, found $found"
}

zc_create "$store"
case "${1:-}" in
small)
	hows=(write mmap sync exchange tmpfile)
	for ((i = 0; i <= 64; i++)); do
		cut "${hows[i % 5]}" "$size" $((i * i * 5)) # 0 to 20 ms, finer at the start
	done
	# Without the writeback cache, what was stored through a mapping still waits in the kernel.
	zc_umount "$mnt"
	options+=,cache=none
	for ((i = 0; i < 15; i++)); do
		cut mmap "$size" $((i * i * 100))
	done
	;;
big)
	for us in 0 20000 60000 300000; do
		cut write $((1 << 28)) "$us"
		# The next one is to have a small file to replace.
		rm -f "$mnt/target" "$mnt/source"
		old=$((version + 1)) old_size=$size version=$((version + 1))
	done
	;;
*) fail "usage: rename.sh small|big" ;;
esac
zc_umount "$mnt"
zc_check "$store"
echo "ok: $cuts crashes, $olds times the old content, $news times the new, never another"
