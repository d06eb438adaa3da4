#!/bin/bash
# SPDX-License-Identifier: MIT
# What the daemon keeps of inodes that the kernel knows: bytes for each, and nothing once they are forgotten.
# usage: memory.sh [N]: of a million, RSS with the mapped files is printed, too.
. "$(dirname "$0")/../support/lib.sh" || exit 1
. "$(dirname "$0")/common.sh" || exit 1

n=${1:-20000}
[[ "$(id -u)" == 0 ]] || skip 'only root can have the kernel forget inodes'
store="$T/store" mnt="$T/mnt"

field() {
	awk -v name="$1:" '$1 == name { print $2 }' "/proc/$(zc_pid "$mnt")/status"
}

known() {
	"$ZCCTL" info --json "$mnt" | grep -oE '"known_inodes":[[:space:]]*[0-9]+' | grep -oE '[0-9]+$'
}

show() {
	printf '%-18s %8s inodes known, RSS %7s KiB, of it memory of its own %6s KiB\n' \
		"$1" "$(known)" "$(field VmRSS)" "$(field RssAnon)"
}

forgotten() {
	echo 2 >/proc/sys/vm/drop_caches
	(($(known) < n / 20))
}

zc_create "$store"
zc_mount "$store" "$mnt"
mkdir "$mnt/many"
"$bin/many" create "$mnt/many" "$n"
show 'made'
zc_umount "$mnt"
zc_mount "$store" "$mnt"
"$bin/many" stat "$mnt/many" 100
before="$(field RssAnon)"
show 'mounted again'
# Others may have the kernel drop its caches meanwhile.
for _ in {1..20}; do
	"$bin/many" stat "$mnt/many" "$n"
	count="$(known)" after="$(field RssAnon)"
	((count < n)) || break
done
((count >= n)) || fail "after a stat of each the daemon knows $count of $n inodes"
show 'looked up'
each=$(((after - before) * 1024 / count))
echo "$each bytes for each inode"
((each <= 96)) || fail "$each bytes for each known inode, 96 are allowed"
if ((n >= 1000000)); then
	sleep 6 # large mappings are emptied with the periodic commit
	show 'a moment later'
	(($(field VmRSS) <= 300 * 1024)) || fail 'more than 300 MiB'
fi
zc_wait 60 forgotten || fail "the daemon still knows $(known) inodes"
show 'forgotten'
now="$(field RssAnon)"
((now <= before + (after - before) / 2 + 512)) || fail "memory does not fall: $before, $after, $now KiB"
echo "ok: $each bytes for each inode, none of them stay"
