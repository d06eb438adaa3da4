#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A directory of sockets that others could write to, or that is a symbolic link, is not used.
. "$(dirname "$0")/../common.sh" || exit 1
. "$(dirname "$0")/ctl_lib.sh" || exit 1
need setpriv
tmp=/tmp/zcfs-65534
for way in open foreign link; do
	rm -rf "$T/run/zcfs" "$T/elsewhere"
	case $way in
	open) install -d -m 0777 -o 65534 -g 65534 "$T/run/zcfs" ;;
	foreign) install -d -m 0700 "$T/run/zcfs" ;;
	link)
		install -d -m 0700 -o 65534 -g 65534 "$T/elsewhere"
		ln -s "$T/elsewhere" "$T/run/zcfs"
		;;
	esac
	serve "$way"
	# It has another place for such a case.
	equal "directory of the socket ($way)" "$(dirname "$socket")" "$tmp"
	exec {input}>&-
	wait "$pid" || fail "the server failed: $(<"$T/$way.err")"
	equal "sockets ($way)" "$(find "$T/run" "$T/elsewhere" -type s 2>/dev/null | wc -l)" 0
done
ok 'open to others, of another user, symbolic link'
