# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What several integration tests share; a test sources this, and this the library of all tests.
. "$(dirname "${BASH_SOURCE[0]}")/../support/lib.sh" || exit 1

S=$T/store # most tests use one store and
M=$T/mnt   # one mount point

ok() {
	printf 'ok: %s\n' "$*"
}

# fresh [MOUNT OPTIONS]: a new store, mounted
fresh() {
	zc_create "$S"
	zc_mount "$S" "$M" "$@"
}

# remount [MOUNT OPTIONS]: leave it cleanly, check it, mount it again
remount() {
	zc_umount "$M"
	zc_check "$S"
	zc_mount "$S" "$M" "$@"
}

# crash [MOUNT OPTIONS]: kill the daemon, check the store, mount it again
crash() {
	zc_kill "$M"
	zc_check "$S"
	zc_mount "$S" "$M" "$@"
}

# soon SECONDS CMD...: until CMD succeeds, else the test fails
soon() {
	zc_wait "$@" || fail "not within $1 s: ${*:2}"
}

# commits: how many commits the daemon of $M has finished, also those that had nothing to do
commits() {
	"$ZCCTL" info --json "$M" | python3 -c 'import json, sys; print(json.load(sys.stdin)["commits"])'
}

# preloaded CMD...: with libzc-preload.so (a sanitized one needs its runtime first)
preloaded() {
	local first='' preload=$ZC_BUILD/lib/zc/libzc-preload.so
	if nm -D --undefined-only "$preload" | grep -Eq '__(asan|tsan)_init'; then
		first=$(ldd "$preload" | awk '/lib(asan|tsan|clang_rt[.]asan|clang_rt[.]tsan)/ { print $3; exit }')
		[[ -n $first ]] || skip 'the runtime of the sanitizer cannot be preloaded'
		first+=' '
	fi
	ASAN_OPTIONS="${ASAN_OPTIONS-}:detect_leaks=0" LD_PRELOAD="$first$preload" "$@"
}

# periodic_commit: until the daemon of $M, which commits every few seconds, has committed what was
# changed before this call. (One may have been under way already.)
periodic_commit() {
	local before=
	for _ in {1..20}; do
		! before=$(commits) || break
	done
	[[ -n $before ]] || fail 'zcctl info'
	soon 120 has_commits $((before + 2))
}

has_commits() {
	local now
	now=$(commits) && ((now >= $1))
}

is_mounted() { mountpoint -q "$1"; }
not_mounted() { ! mountpoint -q "$1"; }
gone() { _zc_ended "$1"; }

# left_alone PID...: programs of this script whose daemon is dead have ended. Most do so by themselves, and
# are not disturbed: a sanitizer in one that is killed while it looks for leaks says so.
left_alone() {
	local pid
	for pid in "$@"; do
		zc_wait 30 gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
}

# says PATTERN CMD...: CMD prints a line that matches the extended regular expression. (Not by a pipe to
# grep -q, which ends at once: CMD may fail for that.)
says() {
	local pattern=$1
	shift
	"$@" >"$T/says" || fail "exit status $?: $*"
	grep -Eq -- "$pattern" "$T/says"
}

equal() { # WHAT GOT WANTED
	[[ $2 == "$3" ]] || fail "$1: '$2' instead of '$3'"
}

# fails STATUS CMD...: CMD must end with this status
fails() {
	local want=$1 got=0
	shift
	"$@" >"$T/fails.out" 2>"$T/fails.err" || got=$?
	[[ $got == "$want" ]] || fail "exit status $got instead of $want: $* ($(<"$T/fails.err"))"
}

# refuses PATTERN CMD...: CMD must fail, not crash, with one line on stderr that begins with the
# program's name and matches the extended regular expression PATTERN. (A wrong use of a program may
# add a line that names its help.)
refuses() {
	local pattern=$1 got=0
	shift
	if [[ $(type -t "$1") != function ]]; then
		set -- timeout 120 "$@"
	fi
	"$@" >"$T/refuses.out" 2>"$T/refuses.all" </dev/null || got=$?
	((got != 124)) || fail "does not end: $*"
	((got > 0 && got < 126)) || fail "exit status $got: $* ($(<"$T/refuses.all"))"
	grep -v '^Try ' "$T/refuses.all" >"$T/refuses.err" || true
	equal "lines of error of '$*' ($(<"$T/refuses.err"))" "$(wc -l <"$T/refuses.err")" 1
	grep -Eq '^(zcfs|zcctl( [a-z]+)?): ' "$T/refuses.err" ||
		fail "no name before the error: $(<"$T/refuses.err")"
	grep -Eqi -- "$pattern" "$T/refuses.err" ||
		fail "the error does not match '$pattern': $(<"$T/refuses.err")"
	ok "$(<"$T/refuses.err")"
}

# fuse_for_users: go on where ordinary users may open /dev/fuse. Where they may not (a container, a
# machine without udev), the test runs once more in a mount namespace of its own with such a node.
fuse_for_users() {
	! as_user test -w /dev/fuse || return 0
	[[ -z ${ZC_FUSE_NODE-} ]] || fail 'users cannot open the node that was made for them'
	local status=0
	export -f zc_leave_others
	ZC_FUSE_NODE=1 unshare -m --propagation private bash -c '
		zc_leave_others
		mkdir "$T/dev" && mount -t tmpfs -o dev none "$T/dev" &&
			mknod -m 666 "$T/dev/fuse" c 10 229 &&
			mount --bind "$T/dev/fuse" /dev/fuse || exit 1
		exec bash "$@"' bash "$0" || status=$?
	exit "$status"
}

# json FILE EXPRESSION: the Python EXPRESSION of what is in the JSON text of FILE, `j`
json() {
	python3 -c 'import json, sys
with open(sys.argv[1]) as f:
	j = json.load(f)
print(eval(sys.argv[2]))' "$@" || fail "no JSON, or not ${*:2}: $(<"$1")"
}

# One line for each file below a directory: everything that an archiver keeps
manifest() {
	(
		cd "$1" || exit 1
		find . -type d -printf '%P d %m %U:%G %T@\n' -o \
			-printf '%P %y %m %U:%G %n %s %T@ %l\n' | LC_ALL=C sort
		find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
		find . ! -type l -print0 | LC_ALL=C sort -z |
			xargs -0 -r getfattr -h -d -m '^user\.' --absolute-names
		find . ! -type l -print0 | LC_ALL=C sort -z | xargs -0 -r getfacl -n -p
	)
}

# A tree with all that an archiver can lose: times in ns, modes, links, holes, xattrs, ACLs
make_tree() {
	mkdir -p "$1/deep/er/est" "$1/empty"
	local i
	for i in {1..60}; do
		head -c $((i * 997)) /dev/urandom >"$1/deep/file $i"
		touch -d "2001-02-03 04:05:06.$((i * 1234567 + 100000000))" "$1/deep/file $i"
	done
	: >"$1/nothing"
	truncate -s 3M "$1/holes"
	printf x | dd of="$1/holes" bs=1 seek=1500000 conv=notrunc status=none
	chmod 4755 "$1/deep/file 1"
	chmod 2640 "$1/deep/file 2"
	chmod 1777 "$1/empty"
	chmod 0 "$1/nothing"
	ln "$1/deep/file 3" "$1/deep/er/hard link"
	ln "$1/deep/file 3" "$1/another hard link"
	ln -s 'deep/no such' "$1/dangling"
	ln -s deep "$1/link"
	mkfifo "$1/fifo"
	setfattr -n user.colour -v 'blue green' "$1/deep/file 4"
	setfattr -n user.large -v "$(head -c 1500 /dev/zero | tr '\0' L)" "$1/deep/file 4"
	setfattr -n user.dir -v yes "$1/deep/er"
	setfacl -m u:1234:rw,g:4321:r "$1/deep/file 5"
	setfacl -d -m u:1234:rwx "$1/deep/er/est"
	touch -d '1999-12-31 23:59:59.999999999' "$1/deep/er/est" "$1/deep/er" "$1/deep" "$1/empty"
	# (rsync leaves times of links and FIFOs that are less than a second old)
	touch -h -d '2010-10-10 10:10:10.101010101' "$1/link" "$1/dangling" "$1/fifo" "$1"
}
