#!/bin/bash
# SPDX-License-Identifier: MIT
#
# SQLite with a rollback journal: what was committed survives kill -9 of it and of the daemon.
. "$(dirname "$0")/../common.sh" || exit 1
need sqlite3
fresh
. "$(dirname "$0")/sqlite.sh" || exit 1

sqlite_test DELETE
