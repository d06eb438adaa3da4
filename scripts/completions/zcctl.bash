# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Completion of zcctl(8) for bash: verbs, their options, stores, mount points.

_zcctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local verbs='create mount umount commit rollback policy live info stats top ls stat check scrub probe' options='--help --usage'
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "$verbs --help --version" -- "$cur")
		return
	fi
	case ${COMP_WORDS[1]} in
	create) options+=' --size --mode' ;;
	mount) options+=' -o -f -d' ;;
	umount) options+=' --timeout --lazy --force --quiet' ;;
	commit | rollback) options+=' --timeout --json' ;;
	policy) options+=' --timeout --json --recursive' ;;
	live) options+=' --timeout --json --recursive --no-names' ;;
	stats) options+=' --json --prometheus' ;;
	top) options+=' --interval --count --batch' ;;
	ls) options+=' --json --recursive' ;;
	info | stat | check | probe) options+=' --json' ;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
	elif [[ $prev == -o ]]; then
		mapfile -t COMPREPLY < <(compgen -W 'ro commit= lock_wait= allow_other
			default_permissions cache=writeback cache=none policy=auto
			policy=explicit workers= live_limit= passthrough passthrough=all' -- "$cur")
		compopt -o nospace
	elif [[ ${COMP_WORDS[1]} == @(umount|stats|top) ]]; then
		# Only mounts of zcfs; nothing here looks at a mount, which may hang.
		mapfile -t COMPREPLY < <(awk -v cur="$cur" \
			'/ - fuse\.zcfs / && index($5, cur) == 1 { print $5 }' /proc/self/mountinfo)
	elif [[ ${COMP_WORDS[1]} == policy ]] && ((COMP_CWORD > 2)); then
		mapfile -t COMPREPLY < <(compgen -W 'explicit auto' -- "$cur")
	elif [[ ${COMP_WORDS[1]} == live ]] && ((COMP_CWORD > 2)); then
		mapfile -t COMPREPLY < <(compgen -W 'on off' -- "$cur")
	elif [[ ${COMP_WORDS[1]} == @(commit|rollback|policy|live) ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		compopt -o filenames
	else
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		compopt -o filenames
	fi
}
complete -F _zcctl zcctl
