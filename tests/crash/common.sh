# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# For the crash tests; source it after support/lib.sh.

# shellcheck disable=SC2034 # used by those who source this
bin="$ZC_BUILD/tests/crash"

# after_kill PID MNT: a program has killed the daemon PID; wait for its end, take the mount away.
after_kill() {
	zc_wait 60 _zc_ended "$1" || fail "the killed daemon, pid $1, does not end"
	_zc_detach "$2" || fail "umount -l $2 failed"
}
