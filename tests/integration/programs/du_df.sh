#!/bin/bash
# SPDX-License-Identifier: MIT
#
# df and du: space is counted when it is used, and comes back.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
zc_create "$S" --size 256M
zc_mount "$S" "$M"
used() { df --output=used -B 4096 "$M" | tail -n 1 | tr -d ' '; }
settled() { sync "$M" && (($(used) <= start + 64)); }
start=$(used)
head -c 20M /dev/urandom >"$M/file"
sync "$M/file"
equal 'du of the file' "$(du -k "$M/file" | cut -f 1)" 20480
((grown = $(used) - start, grown >= 5120 && grown <= 5120 + 1024)) ||
	fail "20 MiB show as $grown pages in df"
truncate -s 1T "$M/sparse"
equal 'du of a hole' "$(du -k "$M/sparse" | cut -f 1)" 0
equal 'apparent size of a hole' "$(du -b "$M/sparse" | cut -f 1)" $((1 << 40))
fallocate -l 8M "$M/allocated"
equal 'du of allocated space' "$(du -k "$M/allocated" | cut -f 1)" 8192
ok "df and du agree"
rm "$M"/*
soon 120 settled
ok 'removed, and the space is back'
remount
(($(used) <= start + 64)) || fail "$(used) pages used after a new mount, $start at first"
