# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# The body of sqlite_rollback.sh and sqlite_wal.sh, and of sqlite_live.sh, on the mount $M, which is
# made again with $OPTIONS.

DB=$M/test.db

# EXTRA: in DELETE mode only that syncs the directory after the journal is gone
sql() {
	sqlite3 -bail -cmd '.timeout 60000' -cmd 'PRAGMA synchronous=EXTRA' "$DB" "$@"
}

# Each transaction moves an amount between accounts, makes a note of it, and says so when it is
# committed.
transactions() {
	local i
	echo 'PRAGMA synchronous=EXTRA;'
	for ((i = $1; i < $1 + 20000; i++)); do
		echo "BEGIN; UPDATE account SET amount = amount - 1 WHERE id = $((i % 50));"
		echo "UPDATE account SET amount = amount + 1 WHERE id = $(((i * 7 + 1) % 50));"
		echo "INSERT INTO note VALUES ($i, hex(randomblob(300))); COMMIT; SELECT $i;"
	done
}

enough() { (($(wc -l <"$T/done") >= 40)); }

# run_until_killed FIRST WHAT: WHAT is run when some transactions are done; sets `last`
run_until_killed() {
	: >"$T/done"
	transactions "$1" >"$T/script"
	sqlite3 -bail "$DB" <"$T/script" >"$T/done" 2>/dev/null &
	local pid=$!
	soon 200 enough
	"$2" "$pid"
	kill -9 "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	last=$(sed '$d' "$T/done" | tail -n 1) # the last line may be cut
}

verify() {
	equal integrity_check "$(sql 'PRAGMA integrity_check')" ok
	equal 'sum of the accounts' "$(sql 'SELECT sum(amount) FROM account')" 50000
	equal 'notes up to the last acknowledged one' \
		"$(sql "SELECT count(*) FROM note WHERE id <= $last")" "$((last + 1))"
	ok "$1: sound, with all transactions up to $last"
}

kill_sqlite() { kill -9 "$1"; }
kill_daemon() { zc_kill "$M"; }

sqlite_test() {
	equal 'journal mode' "$(sql "PRAGMA journal_mode=$1")" "${1,,}"
	sql 'CREATE TABLE account (id INTEGER PRIMARY KEY, amount INTEGER);
		CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT);
		WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i < 49)
			INSERT INTO account SELECT i, 1000 FROM n;'
	run_until_killed 0 kill_sqlite
	verify 'after kill -9 of sqlite3'

	local next
	next=$(sql 'SELECT max(id) + 1 FROM note')
	run_until_killed "$next" kill_daemon
	zc_check "$S"
	zc_mount "$S" "$M" "${OPTIONS-}"
	verify 'after kill -9 of the daemon'

	sql 'VACUUM; PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null
	remount "${OPTIONS-}"
	verify 'after VACUUM and a new mount'
}
