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

# shows FILE NAME LAST: every demonstration's line is there, and says what it must; the last ones are LAST.
shows() {
	local file=$1 name=$2 last=$3 pattern
	while read -r pattern; do
		grep -qxE "$pattern" "$file"
		result $? "$name: ${pattern:0:32}..." "$file"
	done <<-END
		1 exceptions: 1 division by zero, 1 breakpoint, 1 page fault mended with frame [0-9]+
		2 time: slices 17 and 49 of processor [0-9] alone; told of [4-9] ends and [4-9] begins
		3 memory: frames [0-9]+ and [0-9]+ by number; accessed and dirty 0, once read 32, once written 96
		4 giving: asked by environment [0-9]+ for 3 frames; 3 given in the upcall, 0 taken
		5 transfer: 6 and 7 went to environment [0-9]+ in space [0-9]+ and came back as 42
		$last
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
	shows "$work/out" "$name" 'mini: [0-9]+ frames free, as before'
}

make -s all build/libos/product >&2 || exit 1
alone 'q35, 1 processor' --cpus 1
alone 'q35, 4 processors' --cpus 4

name='beside ExOS'
timeout -k 5 120 ./exo run --libos mini --file build/exos:/boot/exos --file build/libos/product:/product \
	--log "$work/log" /bin/busybox sh -c '/product; echo $?; exit 7' \
	>"$work/out" 2>"$work/err" </dev/null
[ $? -eq 7 ]
result $? "$name: the program's exit status" "$work/err"
sed -i 's/\r$//' "$work/log"
# Whom mini called knows of it, and of nothing else.
[ "$(cat "$work/out")" = "$(printf 'answered 42\n0')" ]
result $? "$name: the program's output" "$work/out"
shows "$work/log" "$name" \
	'6 neighbour: 6 and 7 went to environment [0-9]+, a process of ExOS, and came back as 42'
echo "1..$number"
exit $bad
