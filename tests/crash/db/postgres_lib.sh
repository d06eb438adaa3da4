# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# A PostgreSQL server for postgres_kill.sh: cluster, start, load, verification.
#
# The server runs in namespaces of its own for pids and IPC: its first process is pid 1 in there, so
# that one SIGKILL ends all of its processes at once, and nothing of it is left in the system.

need psql setfattr getfattr setpriv unshare stdbuf
if ! pg_bin=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1); then
	need initdb
	pg_bin=$(command -v initdb)
fi
pg_bin=$(dirname "$(realpath "$pg_bin")")
[[ "$(id -u)" == 0 ]] || skip 'only root can start a server as another user in its own namespaces'
user=$(id -un 65534)

pg_clients=3
pg_accounts=100
pg_init= # the server's first process

pg_sql() {
	as_user psql -X -q -A -t -v ON_ERROR_STOP=1 -h "$T/run" -U "$user" -d postgres "$@"
}

# pg_prepare DIR: a new explicit directory with a cluster in it; sets pg_data
pg_prepare() {
	local client policy dir=$1
	mkdir -p "$T/run" "$T/ack"
	chown 65534:65534 "$T/run" "$T/ack"
	mkdir "$dir"
	chown 65534:65534 "$dir"
	setfattr -n user.zcfs.commit -v explicit "$dir"
	pg_data=$dir/cluster # inherits
	as_user "$pg_bin/initdb" -D "$pg_data" -k -A trust -E UTF8 --no-instructions >"$T/initdb" 2>&1 ||
		fail "initdb: $(tail -n 5 "$T/initdb")"
	cat >>"$pg_data/postgresql.conf" <<-END
		listen_addresses = ''
		unix_socket_directories = '$T/run'
		dynamic_shared_memory_type = mmap
		fsync = on
		full_page_writes = on
		shared_buffers = 16MB
		max_connections = 20
		min_wal_size = 32MB
		max_wal_size = 48MB
		checkpoint_timeout = 30s
		autovacuum_naptime = 1s
		logging_collector = off
	END
	sync "$pg_data/postgresql.conf"
	pg_start || fail "the server does not start: $(tail -n 5 "$T/pg.log")"
	pg_sql -c "CREATE EXTENSION amcheck" \
		-c "CREATE TABLE account (id int PRIMARY KEY, amount bigint NOT NULL)" \
		-c "INSERT INTO account SELECT i, 1000 FROM generate_series(0, $((pg_accounts - 1))) i" \
		-c "CREATE TABLE entry (client int, number int, source int, target int, amount int,
			note text, PRIMARY KEY (client, number))"
	as_user "$pg_bin/pgbench" -i -q -s 1 -h "$T/run" -U "$user" postgres >"$T/pgbench" 2>&1 ||
		fail "pgbench -i: $(tail -n 5 "$T/pgbench")"
	for ((client = 0; client < pg_clients; client++)); do
		echo 0 >"$T/ack/$client"
	done
	pg_stop
	policy=$(getfattr --absolute-names --only-values -n user.zcfs.commit "$pg_data/PG_VERSION")
	[[ "$policy" == explicit ]] || fail "the cluster has the policy '$policy', not explicit"
}

pg_alive() { ! _zc_ended "$pg_init"; }

pg_ready() {
	pg_alive || return 0
	as_user "$pg_bin/pg_isready" -q -h "$T/run"
}

# shellcheck disable=SC2120 # the options may be left out
# pg_start OPTIONS...: when it returns 0, the server has recovered and takes connections
pg_start() {
	HOME=$T unshare --ipc --pid --fork --kill-child \
		setpriv --reuid 65534 --regid 65534 --clear-groups -- \
		"$pg_bin/postgres" -D "$pg_data" "$@" >>"$T/pg.log" 2>&1 </dev/null &
	pg_outer=$!
	zc_wait 60 pg_forked || fail "unshare does not start the server: $(tail -n 5 "$T/pg.log")"
	zc_wait 300 pg_ready || fail "the server is not ready after 300 s: $(tail -n 5 "$T/pg.log")"
	pg_alive
}

pg_forked() {
	pg_init=$(cat "/proc/$pg_outer/task/$pg_outer/children" 2>/dev/null) || return 0
	pg_init=${pg_init%% *}
	[[ -n "$pg_init" ]] || ! kill -0 "$pg_outer" 2>/dev/null
}

pg_stop() {
	kill -INT "$pg_init"
	zc_wait 300 _zc_ended "$pg_init" || fail "the server does not stop: $(tail -n 5 "$T/pg.log")"
	wait "$pg_outer" || fail "the server stopped with status $?: $(tail -n 5 "$T/pg.log")"
}

# After a failed start or verification: whatever still runs
pg_abort() {
	! pg_alive || kill -KILL "$pg_init"
	wait "$pg_outer" || true
}

# Transactions of one client, each followed by its number, which psql prints when COMMIT is done
pg_transactions() { # CLIENT FIRST SEED
	awk -v client="$1" -v first="$2" -v accounts="$pg_accounts" -v seed="$3" 'BEGIN {
		srand(seed * 10 + client)
		for (n = first; n < first + 5000; n++) {
			a = int(rand() * accounts); b = (a + 1 + int(rand() * (accounts - 1))) % accounts
			amount = 1 + int(rand() * 50)
			low = a < b ? a : b; high = a < b ? b : a # no deadlocks
			print "BEGIN;"
			printf "UPDATE account SET amount = amount + %d WHERE id = %d;\n", low == a ? -amount : amount, low
			printf "UPDATE account SET amount = amount + %d WHERE id = %d;\n", high == a ? -amount : amount, high
			printf "INSERT INTO entry VALUES (%d, %d, %d, %d, %d, repeat(md5(\047%d %d\047), %d));\n",
				client, n, a, b, amount, client, n, 1 + n % 60
			print "COMMIT;\n\\echo " n
		}
	}'
}

# pg_load_start SEED: our clients, and pgbench; returns when the first acknowledgement is there
pg_load_start() {
	local client first
	pg_jobs=()
	wc -l "$T/ack/"* | tail -n 1 >"$T/acked"
	for ((client = 0; client < pg_clients; client++)); do
		first=$(pg_sql -c "SELECT coalesce(max(number), 0) + 1 FROM entry WHERE client = $client")
		pg_transactions "$client" "$first" "$1" >"$T/script.$client"
		stdbuf -oL psql -X -q -A -t -v ON_ERROR_STOP=1 -h "$T/run" -U "$user" -d postgres \
			-f "$T/script.$client" >>"$T/ack/$client" 2>>"$T/clients.log" &
		pg_jobs+=($!)
	done
	"$pg_bin/pgbench" -n -c 2 -T 600 -h "$T/run" -U "$user" postgres >>"$T/pgbench" 2>&1 &
	pg_jobs+=($!)
	zc_wait 300 pg_more_acked || fail "no transaction is acknowledged: $(tail -n 5 "$T/clients.log")"
}

pg_more_acked() { [[ "$(wc -l "$T/ack/"* | tail -n 1)" != "$(<"$T/acked")" ]]; }

pg_killed() {
	local job
	zc_wait 60 _zc_ended "$pg_init" || fail "the killed server, pid $pg_init, does not end"
	wait "$pg_outer" || true
	for job in "${pg_jobs[@]}"; do
		kill -KILL "$job" 2>/dev/null || true
		wait "$job" || true
	done 2>/dev/null
}

pg_acked() { tail -n 1 "$T/ack/$1"; }

pg_acked_sum() {
	local client sum=0
	for ((client = 0; client < pg_clients; client++)); do
		sum=$((sum + $(pg_acked "$client")))
	done
	echo "$sum"
}

# expect WHAT SQL WANTED
expect() {
	local got
	got=$(pg_sql -c "$2") || return 1
	[[ "$got" == "$3" ]] && return 0
	echo "$1: '$got' instead of '$3'"
	return 1
}

pg_verify() {
	local client found acked
	for ((client = 0; client < pg_clients; client++)); do
		acked=$(pg_acked "$client")
		# What was in flight may be there or not; what is there is 1..n.
		found=$(pg_sql -c "SELECT count(*) FROM entry WHERE client = $client") || return 1
		if ((found < acked || found > acked + 1)); then
			echo "LOST: client $client: $acked transactions acknowledged, $found found"
			return 1
		fi
		expect "last number of client $client" \
			"SELECT coalesce(max(number), 0) FROM entry WHERE client = $client" "$found" || return 1
	done
	expect 'rows with other bytes' "SELECT count(*) FROM entry
		WHERE note <> repeat(md5(client || ' ' || number), 1 + number % 60)" 0 || return 1
	expect 'sum of the accounts' 'SELECT sum(amount) FROM account' $((pg_accounts * 1000)) || return 1
	expect 'accounts that differ from their history' "SELECT count(*) FROM account a WHERE amount <> 1000
		+ coalesce((SELECT sum(amount) FROM entry WHERE target = a.id), 0)
		- coalesce((SELECT sum(amount) FROM entry WHERE source = a.id), 0)" 0 || return 1
	expect "pgbench's sums are one" "SELECT (SELECT sum(abalance) FROM pgbench_accounts) =
		(SELECT coalesce(sum(delta), 0) FROM pgbench_history)
		AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches)
		AND (SELECT sum(abalance) FROM pgbench_accounts) =
		(SELECT sum(bbalance) FROM pgbench_branches)" t || return 1
	as_user "$pg_bin/pg_amcheck" --heapallindexed --no-strict-names -h "$T/run" -U "$user" \
		-d postgres || return 1
}

# Of every page of a cluster that was stopped
pg_checksums() {
	local out
	out=$(as_user "$pg_bin/pg_checksums" --check -D "$pg_data" 2>&1) && return 0
	printf '%s\n' "$out"
	return 1
}
