# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# live_lib.sh - what the tests of live files share
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh" || exit 1
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
export COUNTER=$ZC_BUILD/examples/shared_counter TABLE=$ZC_BUILD/examples/live_table
export PYTHONPATH=$HERE:$HERE/../commit PYTHONDONTWRITEBYTECODE=1

# live EXPRESSION: of `j`, what `zcctl live --json MNT` prints
live() {
	"$ZCCTL" live --json "$M" >"$T/live.json" || fail 'zcctl live fails'
	json "$T/live.json" "$1"
}

no_images() { [[ $(live 'len(j["images"])') == 0 ]]; }

py() {
	timeout 120 python3 "$@"
}

# has_lines FILE N: at least
has_lines() { (($(wc -l <"$1") >= $2)); }
