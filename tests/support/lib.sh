# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# lib.sh - what every test script stands on. Source it first:
#
#	. "$(dirname "$0")/<...>/support/lib.sh" || exit 1
#
# Variables   ZC_SRC ZC_BUILD   source and build root (given by meson; else guessed)
#             ZCFS ZCCTL        the two programs, reachable for an ordinary user too
#             ZC_MOUNT_OPTIONS  if set, options of every mount besides its own
#             T                 a fresh directory (mode 0755), removed at exit; put everything here
# Calls       zc_create zc_mount zc_umount zc_pid zc_kill zc_stop zc_check zc_wait
#             need fail skip as_user zc_leave_others
# Status      0 passed, 77 skipped, anything else failed
#
# At exit, however it comes, background jobs of the script, daemons with a mount below T and the
# mounts themselves are ended, and a report of a sanitizer fails the test. Time limits are meson's;
# a limit here only keeps one stuck command from taking the whole of it.

set -Eeuo pipefail
umask 022
# Tests read messages and compare lists: one language, one order, one time zone.
export LC_ALL=C.UTF-8 TZ=UTC
export PATH="$PATH:/usr/sbin:/sbin"

_zc_here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
export ZC_SRC="${ZC_SRC:-$(cd "$_zc_here/../.." && pwd -P)}"
export ZC_BUILD="${ZC_BUILD:-$ZC_SRC/build}"

_zc_top="$(mktemp -d "${TMPDIR:-/tmp}/zc-test.XXXXXX")"
_zc_top="$(cd "$_zc_top" && pwd -P)"
chmod 0755 "$_zc_top"
export T="$_zc_top/t"
mkdir -m 0755 "$T"
mkdir -m 1777 "$_zc_top/san"

fail() {
	printf 'FAIL: %s\n' "$*" >&2
	exit 1
}

skip() {
	printf 'SKIP: %s\n' "$*"
	exit 77
}

# need CMD...: programs that the test calls. A machine of CI must have them all.
need() {
	local cmd
	for cmd in "$@"; do
		command -v "$cmd" >/dev/null 2>&1 && continue
		if [[ "${CI:-}" == true ]]; then
			fail "$cmd is not installed; scripts/install-deps.sh test installs it"
		fi
		skip "$cmd is not installed"
	done
}

# as_user CMD...: run a program (not a function) as an ordinary user, uid 65534.
as_user() {
	[[ "$(id -u)" == 0 ]] || skip "only root can run a program as another user"
	HOME="$T" setpriv --reuid 65534 --regid 65534 --clear-groups -- "$@"
}

# zc_wait SECONDS CMD...: until CMD succeeds; false if it never does.
zc_wait() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.05
	done
}

# ---- stores and mounts ------------------------------------------------------------------------

# zc_create STORE [arguments of zcctl create]
zc_create() {
	"$ZCCTL" create "$@" >/dev/null
}

# zc_mount STORE MNT [OPTIONS]: usable when it returns. OPTIONS are for -o, comma-separated.
zc_mount() {
	local store="$1" mnt="$2" options="${3:-}"
	_zc_need_fuse
	options="${ZC_MOUNT_OPTIONS:-}${ZC_MOUNT_OPTIONS:+${options:+,}}$options"
	mkdir -p "$mnt"
	mnt="$(_zc_abspath "$mnt")"
	_zc_run "$ZCFS" "$store" "$mnt" ${options:+-o "$options"} ||
		fail "zcfs $store $mnt ${options:+-o $options}: exit status $?"
	mountpoint -q "$mnt" || fail "zcfs $store $mnt returned, but nothing is mounted there"
}

# zc_umount MNT: returns after the last commit.
zc_umount() {
	_zc_run "$ZCCTL" umount "$1" || fail "zcctl umount $1: exit status $?"
	if mountpoint -q "$1"; then
		fail "zcctl umount $1 returned, but it is still mounted"
	fi
}

# zc_check STORE: sound, or the test fails with the findings.
zc_check() {
	local out status=0
	out="$("$ZCCTL" check "$1" 2>&1)" || status=$?
	((status == 0)) && return 0
	printf '%s\n' "$out" >&2
	fail "zcctl check $1: exit status $status, not sound"
}

# zc_pid MNT: the process that serves it.
zc_pid() {
	local mnt pid best=
	mnt="$(_zc_abspath "$1")"
	local -A parent=() start=()
	local stat fields
	for pid in $(_zc_daemons exact "$mnt"); do
		stat="$(cat "/proc/$pid/stat" 2>/dev/null)" || continue
		# The name in parentheses may hold anything: count from behind it.
		read -ra fields <<<"${stat##*) }"
		parent[$pid]="${fields[1]}"
		start[$pid]="${fields[19]}"
	done
	# Helpers of a daemon share its command line: they are its children, and younger.
	for pid in "${!start[@]}"; do
		[[ -z "${start[${parent[$pid]}]:-}" ]] || continue
		if [[ -z "$best" ]] || ((start[$pid] < start[$best])); then
			best="$pid"
		fi
	done
	[[ -n "$best" ]] || fail "no process serves $mnt"
	printf '%s\n' "$best"
}

# zc_kill MNT: what a crash of the daemon does; the dead mount is taken away.
zc_kill() {
	local pid
	pid="$(zc_pid "$1")"
	kill -KILL "$pid"
	zc_wait 60 _zc_ended "$pid" || fail "the daemon of $1, pid $pid, does not end after SIGKILL"
	_zc_detach "$1" || fail "umount -l $1 failed"
}

# zc_stop PID: the process hangs from here on, until SIGCONT. Its threads stop one after the other:
# one of them may still answer for a while.
zc_stop() {
	kill -STOP "$1"
	zc_wait 60 _zc_stopped "$1" || fail "pid $1 does not stop after SIGSTOP"
}

# zc_leave_others: in a mount namespace of our own, before anything is mounted there. It has copies of
# the mounts of the tests that run beside this one, and their daemons would not end before it does.
zc_leave_others() {
	local path
	while read -r path; do
		umount -l -- "$path" || true
	done < <(awk '/ - fuse\.zcfs / || $5 ~ /\/zc-test\./ { print $5 }' /proc/self/mountinfo | tac)
}

# ---- inside -----------------------------------------------------------------------------------

# In the background, so that a signal to the script is answered at once, also while this hangs.
_zc_run() {
	timeout --foreground -k 5 400 "$@" </dev/null &
	wait $!
}

_zc_need_fuse() {
	[[ -c /dev/fuse ]] && return 0
	[[ "${CI:-}" != true ]] || fail "there is no /dev/fuse"
	skip "there is no /dev/fuse"
}

# Without touching what is mounted there, which may hang.
_zc_abspath() {
	local path="${1%/}" dir
	[[ "$path" == /* ]] || path="$PWD/$path"
	dir="$(cd "${path%/*}/" 2>/dev/null && pwd -P)" || dir="${path%/*}"
	printf '%s\n' "${dir%/}/${path##*/}"
}

# Pids of zcfs processes with the argument PATH (exact), or with one below it (below).
_zc_daemons() {
	local how="$1" path="$2" dir arg args
	for dir in /proc/[0-9]*; do
		args=()
		mapfile -d '' -t args 2>/dev/null <"$dir/cmdline" || continue
		((${#args[@]} > 1)) || continue
		[[ "${args[0]##*/}" == zcfs || "$dir/exe" -ef "$ZCFS" ]] || continue
		for arg in "${args[@]:1}"; do
			if [[ "$arg" == "$path" || ("$how" == below && "$arg" == "$path"/*) ]]; then
				printf '%s\n' "${dir##*/}"
				break
			fi
		done
	done 2>/dev/null
}

# Gone, or a zombie without other threads: nothing of it runs or holds a lock any more.
_zc_ended() {
	local stat
	stat="$(cat "/proc/$1/stat" 2>/dev/null)" || return 0
	case "${stat##*) }" in
	[ZX]*) ;;
	*) return 1 ;;
	esac
	local tasks=("/proc/$1/task/"*)
	((${#tasks[@]} <= 1))
}

_zc_stopped() {
	local stat
	for stat in "/proc/$1/task/"*/stat; do
		stat="$(cat "$stat" 2>/dev/null)" || continue
		[[ "${stat##*) }" == T* ]] || return 1
	done
}

_zc_detach() {
	if [[ "$(id -u)" == 0 ]]; then
		timeout -k 2 60 umount -l -- "$1"
	else
		timeout -k 2 60 fusermount3 -u -z -- "$1"
	fi
}

# Lines "major:minor path" of everything mounted below T, the deepest first.
_zc_mounts() {
	local dev path rest
	while read -r _ _ dev _ path rest; do
		path="$(printf '%b' "${path//\\/\\0}")"
		[[ "$path" == "$T"/* ]] || continue
		printf '%s %s\n' "$dev" "$path"
	done </proc/self/mountinfo | tac
}

# Cut one FUSE connection, named by the device number of its mount.
_zc_abort() {
	local ctl=/sys/fs/fuse/connections
	[[ -d "$ctl/${1#*:}" ]] || mount -t fusectl none "$ctl" 2>/dev/null || true
	[[ ! -w "$ctl/${1#*:}/abort" ]] || echo 1 >"$ctl/${1#*:}/abort"
}

# After a success: in order, so that the daemons' own last words (leaks) are heard.
_zc_unmount_in_order() {
	local dev path
	while read -r dev path; do
		timeout -k 5 150 "$ZCCTL" umount "$path" >/dev/null 2>&1 || true
	done < <(_zc_mounts)
}

_zc_end_all() {
	local pid dev path
	local -a pids=()
	mapfile -t pids < <(_zc_daemons below "$T")
	((${#pids[@]} == 0)) || kill -KILL "${pids[@]}" 2>/dev/null
	while read -r dev path; do
		_zc_detach "$path" 2>/dev/null || {
			_zc_abort "$dev"
			_zc_detach "$path"
		}
	done < <(_zc_mounts)
	for pid in ${pids[@]+"${pids[@]}"}; do
		zc_wait 60 _zc_ended "$pid" || printf 'lib.sh: pid %s does not end\n' "$pid" >&2
	done
}

_zc_exit() {
	local status="$1" pid
	trap - ERR EXIT
	trap '' INT TERM HUP
	set +e
	for pid in $(jobs -p); do
		kill -TERM "$pid" 2>/dev/null
	done
	((status != 0)) || _zc_unmount_in_order
	_zc_end_all
	for pid in $(jobs -p); do
		zc_wait 5 _zc_ended "$pid" && continue
		kill -KILL "$pid" 2>/dev/null
		zc_wait 60 _zc_ended "$pid" || printf 'lib.sh: pid %s does not end\n' "$pid" >&2
	done
	if compgen -G "$_zc_top/san/*" >/dev/null; then
		echo 'FAIL: a sanitizer reports:' >&2
		head -c 20000 "$_zc_top"/san/* >&2
		status=1
	fi
	timeout -k 2 120 rm -rf --one-file-system -- "$_zc_top"
	exit "$status"
}

trap 'printf "FAIL: %s:%s: %s\n" "${BASH_SOURCE[0]}" "$LINENO" "$BASH_COMMAND" >&2' ERR
trap '_zc_exit $?' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# A daemon in the background has no terminal: its sanitizers write to files. (For programs that
# were built without them this means nothing.)
_zc_log="log_path=$_zc_top/san/report"
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}$_zc_log"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}$_zc_log"
export LSAN_OPTIONS="${LSAN_OPTIONS:+$LSAN_OPTIONS:}$_zc_log"
export TSAN_OPTIONS="${TSAN_OPTIONS:+$TSAN_OPTIONS:}$_zc_log"

# An ordinary user may not be able to reach the build directory (below /root, for instance).
_zc_bin="$ZC_BUILD"
if [[ "$(id -u)" == 0 ]] && [[ -e "$ZC_BUILD/fs/zcfs" ]] &&
	! as_user test -x "$ZC_BUILD/fs/zcfs"; then
	_zc_bin="$_zc_top/build"
	for _zc_file in fs/zcfs tools/zcctl tools/umount.fuse.zcfs; do
		[[ ! -e "$ZC_BUILD/$_zc_file" ]] ||
			install -D -m 0755 "$ZC_BUILD/$_zc_file" "$_zc_bin/$_zc_file"
	done
fi
export ZCFS="$_zc_bin/fs/zcfs" ZCCTL="$_zc_bin/tools/zcctl"
[[ -x "$ZCFS" && -x "$ZCCTL" ]] || fail "$ZCFS and $ZCCTL are not built: ninja -C $ZC_BUILD"
