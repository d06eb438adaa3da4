#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A live SQLite database, in the mode of the journal that the argument names, survives kill -9 of it and
# of the daemon, again and again, with all that was acknowledged.
. "$(dirname "$0")/pt.sh" || exit 1
need sqlite3
OPTIONS=passthrough,commit=1
fresh "$OPTIONS"
live "$M"
. "$(dirname "$0")/../programs/sqlite.sh" || exit 1

sqlite_test "$1"
for round in 1 2; do
	next=$(sql 'SELECT max(id) + 1 FROM note')
	run_until_killed "$next" kill_daemon
	zc_check "$S"
	zc_mount "$S" "$M" "$OPTIONS"
	verify "round $round: after kill -9 of the daemon"
done
(($(fact passthrough_opens) > 0)) || fail 'the database was not live'
