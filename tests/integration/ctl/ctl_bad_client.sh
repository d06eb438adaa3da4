#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Rubbish, silence and greed on the control socket of a mount harm neither it nor other clients.
. "$(dirname "$0")/../common.sh" || exit 1
need python3
fresh
echo text >"$M/file"
socket=$("$ZCCTL" info --json "$M" >"$T/json" && json "$T/json" 'j["socket"]')
equal 'mode of the directory of sockets' "$(stat -c %a "$(dirname "$socket")")" 711
timeout 400 python3 "$(dirname "$0")/ctl_attack.py" "$socket" || fail 'the attack succeeded'
equal 'the file' "$(<"$M/file")" text
zc_umount "$M"
[[ ! -e $socket ]] || fail 'the socket is left behind'
zc_check "$S"
ok 'the daemon goes on, and takes its socket away at the end'
