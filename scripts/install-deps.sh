#!/bin/bash
# SPDX-License-Identifier: MIT
# install-deps.sh [build|test|ci] - install what is missing to build, to test, or to run all checks.
#
# Each set holds the one before it. Quick when nothing is missing. Debian and its relatives only;
# elsewhere it says what is needed and fails if something is.
set -euo pipefail

set_name="${1:-build}"
build=(gcc libc6-dev meson ninja-build pkg-config fuse3 libfuse3-dev liblmdb-dev libisal-dev
	libsodium-dev libcjson-dev libbsd-dev libncurses-dev)
tests=(libcmocka-dev sqlite3 git tar rsync acl attr fio nginx-light wrk curl python3 procps util-linux make
	e2fsprogs postgresql libsqlite3-dev g++ python3-numpy man-db)
ci=(clang clang-format clang-tidy libclang-rt-14-dev shellcheck mergerfs bindfs gnuplot-nox)

case "$set_name" in
build) packages=("${build[@]}") ;;
test) packages=("${build[@]}" "${tests[@]}") ;;
ci) packages=("${build[@]}" "${tests[@]}" "${ci[@]}") ;;
-h | --help)
	sed -n '3,6s/^# \{0,1\}//p' "$0"
	exit 0
	;;
*)
	echo "install-deps.sh: unknown set '$set_name' (build, test or ci)" >&2
	exit 2
	;;
esac

elsewhere() {
	cat >&2 <<-END
		install-deps.sh: this is not Debian or a relative (no apt-get): install by hand
		  to build  a C compiler, meson >= 1.0, ninja, pkg-config, and with their headers: libfuse >= 3.10
		            (and its fusermount3), lmdb, isa-l, libsodium, cJSON, libbsd, ncurses
		  to test   ${tests[*]}
		  for CI    ${ci[*]}
	END
	local missing=() item
	for item in cc meson ninja pkg-config fusermount3; do
		command -v "$item" >/dev/null || missing+=("$item")
	done
	for item in fuse3 lmdb libisal libsodium libcjson libbsd ncursesw; do
		pkg-config --exists "$item" 2>/dev/null || missing+=("$item (headers)")
	done
	if ((${#missing[@]})); then
		printf '  missing here, to build: %s\n' "${missing[@]}" >&2
		exit 1
	fi
	echo '  everything to build is here' >&2
	exit 0
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
	elsewhere
fi

missing=()
find_missing() {
	local installed package
	installed=" $(dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' 2>/dev/null |
		sed -n 's/^installed //p' | sed 's/([^)]*)//g; s/,/ /g' | tr '\n' ' ') "
	missing=()
	for package in "${packages[@]}"; do
		[[ "$installed" == *" $package "* ]] || missing+=("$package")
	done
}

find_missing
((${#missing[@]})) || exit 0
echo "installing: ${missing[*]}"

as_root=()
if [[ "$(id -u)" != 0 ]]; then
	if ! command -v sudo >/dev/null; then
		echo "install-deps.sh: only root can install these: run as root" >&2
		echo "  apt-get install ${missing[*]}" >&2
		exit 1
	fi
	as_root=(sudo)
fi

# Packages with a service (nginx) would start it: forbid that while we install. A policy that is
# already there stays.
policy=/usr/sbin/policy-rc.d
if [[ ! -e "$policy" ]]; then
	trap '"${as_root[@]}" rm -f "$policy"' EXIT
	trap 'exit 1' INT TERM HUP
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
	"${as_root[@]}" chmod 755 "$policy"
fi

apt() {
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq -y \
		-o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# The lists may be there and good; if not, they are fetched, which may need more than one try.
log="$(mktemp)"
for try in 1 2 3 4; do
	if apt install --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
		rm -f "$log"
		find_missing
		((${#missing[@]} == 0)) && exit 0
		echo "install-deps.sh: still missing: ${missing[*]}" >&2
		exit 1
	fi
	((try < 4)) || break
	((try == 1)) || sleep $((try * 5))
	apt update >>"$log" 2>&1 || true
	apt -f install >>"$log" 2>&1 || true
done
tail -n 30 "$log" >&2
rm -f "$log"
echo "install-deps.sh: apt-get could not install: ${missing[*]}" >&2
exit 1
