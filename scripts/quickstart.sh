#!/bin/bash
# SPDX-License-Identifier: MIT
# quickstart.sh - build zcfs, fill a store with a real tree, and prove that it comes back.
#
# Installs what the build needs (Debian; root or sudo), builds in ./build (or $ZC_BUILD_DIR), and
# works in a temporary directory, which it removes: some 600 MB in $TMPDIR, two minutes. May be run
# again at any time, by root or an ordinary user.
set -Eeuo pipefail
export LC_ALL=C.UTF-8
src="$(cd "$(dirname "$0")/.." && pwd -P)"
want_files=5000 want_bytes=$((200 * 1000 * 1000))

say() {
	printf '==> %s\n' "$*"
}
die() {
	printf 'quickstart.sh: %s\n' "$*" >&2
	exit 1
}

# ---- leave nothing behind ---------------------------------------------------------------------

work=''
daemons() {
	local dir args
	for dir in /proc/[0-9]*; do
		{ mapfile -d '' -t args <"$dir/cmdline"; } 2>/dev/null || continue
		[[ "${args[0]:-}" == */zcfs || "${args[0]:-}" == zcfs ]] || continue
		[[ " ${args[*]} " == *" $work/mnt "* ]] || continue
		printf '%s\n' "${dir##*/}"
	done
}
detach() {
	timeout 20 fusermount3 -u -z "$work/mnt" 2>/dev/null ||
		timeout 20 umount -l "$work/mnt" 2>/dev/null || true
}
finish() {
	local status=$? pid
	trap - ERR EXIT
	set +e
	if [[ -n "$work" ]]; then
		if mountpoint -q "$work/mnt" 2>/dev/null || [[ -n "$(daemons)" ]]; then
			detach
			sleep 1
			for pid in $(daemons); do
				kill -KILL "$pid"
			done
		fi
		rm -rf --one-file-system "$work"
	fi
	((status == 0)) || echo "quickstart.sh: failed" >&2
	exit "$status"
}
trap finish EXIT
trap 'printf "quickstart.sh: line %s: %s failed\n" "$LINENO" "$BASH_COMMAND" >&2' ERR
trap 'exit 130' INT
trap 'exit 143' TERM HUP

work="$(mktemp -d "${TMPDIR:-/tmp}/zcfs-quickstart.XXXXXX")"
work="$(cd "$work" && pwd -P)"

# ---- build ------------------------------------------------------------------------------------

say 'installing what the build needs'
"$src/scripts/install-deps.sh" build
[[ -c /dev/fuse ]] || die 'there is no /dev/fuse: load the module fuse, or give the container the device'
[[ -r /dev/fuse && -w /dev/fuse ]] ||
	die 'no permission for /dev/fuse: run as root, or let users have it (chmod 0666 /dev/fuse)'

build="${ZC_BUILD_DIR:-$src/build}"
zcfs="$build/fs/zcfs" zcctl="$build/tools/zcctl"
if [[ -e "$build" && ! -w "$build" ]] || [[ ! -e "$build" && ! -w "$(dirname "$build")" ]]; then
	# Somebody else's clone: take what is built there, or build aside.
	if [[ ! -x "$zcfs" || ! -x "$zcctl" ]]; then
		build="$work/build"
		zcfs="$build/fs/zcfs" zcctl="$build/tools/zcctl"
	fi
fi
if [[ ! -e "$build" || -w "$build" ]]; then
	say "building in $build"
	if [[ ! -f "$build/build.ninja" ]]; then
		meson setup "$build" "$src" >"$work/log" 2>&1 || {
			tail -n 40 "$work/log" >&2
			die 'meson setup failed'
		}
	fi
	ninja -C "$build" >"$work/log" 2>&1 || {
		tail -n 40 "$work/log" >&2
		die 'the build failed'
	}
fi

# ---- a real tree ------------------------------------------------------------------------------

say 'choosing a tree of at least 5,000 files and 200 MB from /usr'
free_kb="$(df --output=avail -k "$work" | tail -n 1)"
((free_kb > 1500000)) || die "$work has $((free_kb / 1000)) MB free, 1500 are needed: set TMPDIR"
# "files bytes" of the regular files below a directory.
measure() {
	find "$1" -xdev -type f -printf '%s\n' 2>/dev/null |
		awk '{ n++; s += $1 } END { printf "%d %d\n", n, s }'
}
files=0 bytes=0
tree=()
for dir in /usr/include /usr/share/zoneinfo /usr/share/perl /usr/share/perl5 /usr/lib/python3 \
	/usr/share/doc /usr/lib/gcc /usr/share/man /usr/share/locale /usr/bin /usr/lib/git-core \
	/usr/sbin /usr/share/*; do
	if ((files >= want_files && bytes >= want_bytes)); then
		break
	fi
	[[ -d "$dir" && ! -L "$dir" && -r "$dir" ]] || continue
	[[ " ${tree[*]} " != *" $dir "* ]] || continue
	# An ordinary user may not be able to read everything, or to keep set-id bits.
	if [[ -n "$(find "$dir" -xdev \( ! -readable -o -type d ! -executable -o -perm /7000 \) \
		! -type l -print -quit 2>/dev/null)" ]]; then
		continue
	fi
	read -r n size < <(measure "$dir")
	# Not gigabytes for a quick start.
	((n > 0 && size < 400000000 && n < 30000)) || continue
	tree+=("$dir")
	files=$((files + n)) bytes=$((bytes + size))
done
if ((files < want_files || bytes < want_bytes)); then
	say "this machine has $files files and $((bytes / 1000000)) MB of it: making the rest"
	mkdir "$work/made"
	for ((i = files; i < want_files + 16; i++)); do
		mkdir -p "$work/made/$((i % 64))"
		printf 'file %d of a generated tree\n%s\n' "$i" "$RANDOM $RANDOM" >"$work/made/$((i % 64))/$i"
	done
	if ((bytes < want_bytes)); then
		head -c $((want_bytes - bytes)) /dev/urandom >"$work/made/large"
	fi
	tree+=("$work/made")
	read -r n size < <(measure "$work/made")
	files=$((files + n)) bytes=$((bytes + size))
fi
say "$files files, $((bytes / 1000000)) MB: ${tree[*]}"

# ---- in, and back -----------------------------------------------------------------------------

elapsed() {
	awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { s = b - a; print (s < 0.001 ? 0.001 : s) }'
}
rate() {
	awk -v s="$1" -v f="$files" -v b="$bytes" \
		'BEGIN { printf "%.1f s, %.0f MB/s, %.0f files/s", s, b / 1e6 / s, f / s }'
}
# Names, types, modes, times and sizes of a tree; links with their targets. Sizes of directories
# are the filesystem's own affair; a running program may have touched access times.
facts() {
	(cd "$1" && find . \( -type d -printf '%P %y %m %T@\n' \) -o -printf '%P %y %m %T@ %s %l\n') | sort
}
compare() {
	local dir copy
	for dir in "${tree[@]}"; do
		copy="$work/mnt${dir}"
		diff -r --no-dereference "$dir" "$copy" >"$work/log" 2>&1 || {
			head -n 10 "$work/log" >&2
			die "$dir: the copy differs"
		}
		diff <(facts "$dir") <(facts "$copy") >"$work/log" 2>&1 || {
			head -n 10 "$work/log" >&2
			die "$dir: modes, times or sizes of the copy differ"
		}
	done
}

say 'creating a store and mounting it'
"$zcctl" create "$work/store" >/dev/null
mkdir "$work/mnt"
"$zcfs" "$work/store" "$work/mnt"

say 'copying the tree in'
start="$EPOCHREALTIME"
for dir in "${tree[@]}"; do
	mkdir -p "$work/mnt$(dirname "$dir")"
	cp -a "$dir" "$work/mnt$dir" 2>"$work/log" || {
		head -n 10 "$work/log" >&2
		die "copying $dir failed"
	}
done
sync -f "$work/mnt"
copied="$(elapsed "$start")"

say 'comparing it: contents, modes, times, sizes'
compare
say 'unmounting: everything is committed when this returns'
"$zcctl" umount "$work/mnt"

say 'mounting again'
"$zcfs" "$work/store" "$work/mnt"
start="$EPOCHREALTIME"
find "$work/mnt" -type f -exec cat {} + >/dev/null
read_back="$(elapsed "$start")"
say 'comparing again, from the store'
compare
"$zcctl" umount "$work/mnt"

say 'checking the store'
"$zcctl" check "$work/store" || die "zcctl check: exit status $?, not sound"

cat <<END

zcfs works here.
  copied in    $(rate "$copied")
  read back    $(rate "$read_back") (after mounting again)

Try next:
  $zcctl create ~/my.store
  mkdir -p ~/my.mnt && $zcctl mount ~/my.store ~/my.mnt
  $zcctl info ~/my.mnt
  $build/examples/shared_counter ~/my.mnt/counter        processes that share a live file
  $zcctl umount ~/my.mnt && $zcctl check ~/my.store
  $zcctl probe        which zero-copy features this machine has
  scripts/test.sh     all tests
END
