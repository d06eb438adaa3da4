# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What damaged_*.sh and cut_short.sh share: a store to damage, and what has to be so afterwards.

# A store with something of everything at $T/good
make_victim() {
	zc_create "$T/good"
	zc_mount "$T/good" "$M"
	mkdir "$M/dir"
	local i
	for i in {1..150}; do echo "$i" >"$M/dir/file $i"; done
	head -c 3M /dev/urandom >"$M/data"
	truncate -s 5M "$M/data"
	ln -s target "$M/link"
	python3 -c 'import os, sys
for i in range(40):
	os.setxattr(sys.argv[1], f"user.{i}", b"v" * 100)' "$M/data"
	cp --reflink=auto "$M/data" "$M/copy"
	rm "$M/dir/file 7"
	sync "$M/data"
	zc_umount "$M"
	zc_check "$T/good"
}

# survives WHAT: check and the others say what is wrong with the damaged store $S and do not crash;
# a mount either refuses it with one line, or serves what it can with errors for the rest. LMDB, which
# does not check what it reads, may still crash the daemon: then that says so as its last words. Sets
# check_status, mounted and died.
survives() {
	local what=$1 status=0
	timeout 150 "$ZCCTL" check "$S" >"$T/check.out" 2>"$T/check.err" || status=$?
	((status <= 2)) || fail "$what: zcctl check: exit status $status"
	((status == 0)) || [[ -s $T/check.out || -s $T/check.err ]] ||
		fail "$what: zcctl check: exit status $status without a word"
	check_status=$status
	for verb in info ls stat; do
		status=0
		timeout 150 "$ZCCTL" "$verb" "$S" >/dev/null 2>"$T/verb.err" || status=$?
		((status < 124)) || fail "$what: zcctl $verb: exit status $status"
	done
	mounted=no died=no
	"$ZCFS" "$S" "$M" -f -o lock_wait=60 >"$T/mount.out" 2>"$T/mount.err" &
	local pid=$!
	soon 150 mounted_or_gone "$pid"
	if gone "$pid"; then
		status=0
		wait "$pid" || status=$?
		! crashed_by_lmdb "$status" || return 0
		((status > 0 && status < 124)) || fail "$what: zcfs: exit status $status"
		not_mounted "$M" || fail "$what: zcfs failed, but something is mounted"
		grep -q '^zcfs: ' "$T/mount.err" || fail "$what: zcfs without an error text"
		equal "$what: lines of error ($(<"$T/mount.err"))" "$(wc -l <"$T/mount.err")" 1
		return 0
	fi
	mounted=yes
	# Whatever fails here fails with an error of the file, and the daemon lives
	timeout 150 find "$M" -printf '%p %s\n' >/dev/null 2>&1 || (($? < 124))
	timeout 150 tar -C "$M" --xattrs -cf /dev/null . >/dev/null 2>&1 || (($? < 124))
	{ echo new >"$M/new" && sync "$M/new" && rm "$M/dir/file 3"; } 2>/dev/null || true
	timeout 150 "$ZCCTL" umount "$M" >/dev/null 2>&1 || (($? < 124)) || fail "$what: umount hangs"
	_zc_detach "$M" 2>/dev/null || true # of a daemon that died
	soon 60 gone "$pid"
	status=0
	wait "$pid" || status=$?
	crashed_by_lmdb "$status" || ((status < 124)) ||
		fail "$what: the daemon crashed: exit status $status ($(<"$T/mount.err"))"
}

mounted_or_gone() { is_mounted "$M" || gone "$1"; }

# crashed_by_lmdb STATUS: did the daemon end so, and say so? Then nothing is left of its mount.
crashed_by_lmdb() {
	(($1 > 128)) && grep -q 'its metadata are damaged: reading them crashed' "$T/mount.err" || return 1
	died=yes
	_zc_detach "$M" 2>/dev/null || true
}

tally() { # WHAT: sums up
	printf 'ok: %s: check says sound %s, damaged %s, could not %s; mounted %s, LMDB crashed in %s\n' \
		"$1" "${count_0:-0}" "${count_1:-0}" "${count_2:-0}" "${count_mounted:-0}" "${count_died:-0}"
}

note_result() {
	local name
	for name in "count_$check_status" ${mounted/yes/count_mounted} ${died/yes/count_died}; do
		[[ $name != no ]] || continue
		printf -v "$name" %s $((${!name:-0} + 1))
	done
}
