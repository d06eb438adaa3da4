# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What the tests of -o passthrough share.
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh" || exit 1
(($(id -u) == 0)) || skip 'only root can pass files through'
need python3 setfattr
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$ZC_SRC/tests/integration/passthrough"

# live PATH: what is opened there from now on has an image
live() {
	setfattr -n user.zcfs.live -v on "$1"
}

fact() { # NAME: of the mount
	"$ZCCTL" info --json "$M" >"$T/info"
	json "$T/info" "j['$1']"
}
is_fact() { [[ $(fact "$1") == "$2" ]]; }

# images N: so many files have one, soon
images() {
	soon 20 is_fact passthrough_images "$1"
}
