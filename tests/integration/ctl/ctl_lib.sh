# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What the tests of a bare control server share.
SERVE=$ZC_BUILD/tests/integration/ctl/ctl_serve
[[ -x $SERVE ]] || fail "$SERVE is not built"

# The sockets of ordinary users, which is what is tested here, live below T.
mkdir -m 0700 "$T/run"
chown 65534:65534 "$T/run"
export XDG_RUNTIME_DIR=$T/run

# serve NAME [ARGUMENTS]: start a server as an ordinary user; sets socket and pid. It ends when
# `exec {NAME}>&-` closes its input.
# shellcheck disable=SC2034  # pid, input, socket are for the scripts that source this
serve() {
	local name=$1
	shift
	mkfifo "$T/$name.in"
	# shellcheck disable=SC2024 # the output belongs to the test
	HOME=$T setpriv --reuid 65534 --regid 65534 --clear-groups -- \
		"$SERVE" "$T" "$@" <"$T/$name.in" >"$T/$name.out" 2>"$T/$name.err" &
	pid=$!
	exec {input}>"$T/$name.in"
	zc_wait 60 test -s "$T/$name.out" || fail "the server does not start: $(<"$T/$name.err")"
	socket=$(<"$T/$name.out")
}
