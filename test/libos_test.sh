#!/bin/bash
# SPDX-License-Identifier: MIT
#
# libos_test.sh: the second library operating system, alone and beside ExOS.  Prints TAP.

cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0 bad=0

# result STATUS NAME [FILE]: a line of TAP, with the file if it failed.
result() {
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
		return
	fi
	bad=1
	echo "not ok $number - $2"
	sed 's/^/# /' ${3:+"$3"} </dev/null
}

# shows FILE NAME: every demonstration's line is there, and says what it must.
shows() {
	local file=$1 name=$2 pattern
	while read -r pattern; do
		grep -qxE "$pattern" "$file"
		result $? "$name: ${pattern:0:32}..." "$file"
	done <<-'END'
		1 exceptions: 1 division by zero, 1 breakpoint, 1 page fault at [0-9a-f]+, repaired with frame [0-9]+, where 42 is now; ([3-9]|[0-9]{2,}) upcalls
		2 time: slices 17 and 49 of processor [0-9] alone; told of [4-9] ends and [4-9] begins
		3 memory: frames [0-9]+ and [0-9]+, free in the map, taken by number; accessed and dirty in the table 0, after a read 20, after a write 60
		4 giving: environment [0-9]+ asked for 3 frames; 3 given back in the upcall, 0 taken
		4 taking: environment [0-9]+ ignored that 2 of its 4 frames were asked for; 2 taken, 2 named in its page, 2 free again
		5 transfer: 6 and 7 went to environment [0-9]+ in space [0-9]+ and came back as 42; it saw environment 1 call
		5 transfer: sent to environment [0-9]+ without waiting, which found 4711
		mini: [0-9]+ frames free, as before
	END
	! grep -q FAILED "$file"
	result $? "$name: nothing failed" "$file"
}

# alone NAME OPTION...
alone() {
	local name=$1 status
	shift
	timeout -k 5 120 ./exo run --libos mini "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	result $status "$name: exit status 0" "$work/err"
	shows "$work/out" "$name"
}

make -s all >&2 || exit 1
alone 'q35, 1 processor' --cpus 1
alone 'q35, 4 processors' --cpus 4

name='beside ExOS'
timeout -k 5 120 ./exo run --libos mini --file build/exos:/boot/exos --log "$work/log" \
	/bin/busybox sh -c 'echo hi; exit 7' >"$work/out" 2>"$work/err" </dev/null
[ $? -eq 7 ]
result $? "$name: the program's exit status" "$work/err"
sed -i 's/\r$//' "$work/log"
[ "$(cat "$work/out")" = hi ]
result $? "$name: the program's output" "$work/out"
shows "$work/log" "$name"
grep -qxE '6 neighbour: control went to environment [0-9]+ of ExOS and came back with -[0-9]+' \
	"$work/log"
result $? "$name: control went to ExOS and came back" "$work/log"
echo "1..$number"
exit $bad
