#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Each path that bytes can take is taken, and the ledger says so: which path, how many bytes, each once, what
# the fallbacks were for; and on the paths without copies the daemon copies nothing.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
here=$(dirname "$0")

# drive SCENARIO [MOUNT OPTIONS]: no commit comes but those asked for
drive() {
	printf -- '-- %s: %s\n' "$1" "${2-}"
	zc_mount "$S" "$M" "commit=0${2:+,$2}"
	timeout 200 python3 "$here/ledger_paths.py" "$ZCCTL" "$M" "$S" "$1"
	zc_umount "$M"
	zc_check "$S"
}

case ${1-paths} in
paths)
	zc_create "$S"
	drive default
	drive splice read=splice,write=splice
	drive copy read=copy,write=copy
	drive mapped read=map
	;;
fallbacks)
	zc_create "$S"
	drive no_direct_io direct_io=off,write=copy
	drive no_ways_to_read read=splice,splice=off,map=off
	drive small_pipe read=splice,pipe_size=65536
	drive no_readahead_control read_ahead=keep
	rm -r "$S"
	zc_create "$S" --checksum
	drive checksums
	;;
images)
	zc_create "$S"
	drive live
	[[ $(id -u) != 0 ]] || drive passed passthrough=all
	;;
esac
