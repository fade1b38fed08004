#!/bin/bash
# SPDX-License-Identifier: MIT
#
# bench_test.sh: the harness of the benchmarks, without Linux: options, one row on ExOS, the shape of the JSON,
# machines that die or hang, a package or space that is missing.  Prints TAP.

cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0 bad=0

# result STATUS NAME [FILE]
result() {
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
		return
	fi
	bad=1
	echo "not ok $number - $2"
	[ -z "${3:-}" ] || tail -5 "$3" | sed 's/^/# /'
}

# refuses STATUS WORDS ARGUMENT...: ends with STATUS, says one line, and it contains WORDS.
refuses() {
	local status=$1 words=$2
	shift 2
	bench/run "$@" >"$work/out" 2>"$work/err" </dev/null
	[ $? -eq "$status" ] && [ "$(wc -l <"$work/err")" -eq 1 ] && [ ! -s "$work/out" ] &&
		grep -qF -- "$words" "$work/err"
	result $? "refuses $*" "$work/err"
}

# machine NAME TEXT: a stand-in for QEMU.
machine() {
	printf '#!/bin/sh\n%s\n' "$2" >"$work/$1"
	chmod +x "$work/$1"
}

# dies NAME WORDS: with the stand-in NAME the row fails, and its reason contains WORDS; the run reports.
dies() {
	EXO_QEMU="$work/$1" bench/run --only getppid --no-linux --measure icount --deadline 2 --json - \
		>"$work/json" 2>"$work/err" </dev/null
	[ $? -eq 3 ] && grep -q "^getppid .*FAILED: .*$2" "$work/err" &&
		grep -q '"name": "getppid".*"linux_on_exos": null, "exos": null' "$work/json"
	result $? "a machine that $1" "$work/err"
}

make -s all bench-programs >&2 || exit 1
bench/run --help >"$work/out" 2>"$work/err"
[ $? -eq 0 ] && [ ! -s "$work/err" ] && grep -q -- '--only NAME' "$work/out"
result $? 'helps' "$work/err"
refuses 2 'there is no row nonsense' --only nonsense
refuses 2 'there is no row getp' --only getp
refuses 2 '--nonsense is not an option' --nonsense
refuses 2 '--only wants an argument' --only
refuses 2 '--repeat' --repeat 4
refuses 2 '--repeat' --repeat 5x
refuses 2 'is no measure' --measure nonsense
refuses 2 'whole runs' --keep --no-linux

figure='[0-9.e+]+'
bench/run --only getppid --only null_call --no-linux --json "$work/json" >"$work/out" 2>"$work/err" </dev/null
result $? 'two rows on ExOS' "$work/err"
head -1 "$work/json" | grep -qE '^\{"machine": \{"date": "[^"]+", "host_cpu": ".*"tsc_ticks_per_us": [0-9.]+\},$'
result $? 'JSON: the machine' "$work/json"
shape='"linux": null, "linux_on_exos": '"($figure|null)"', "exos": '"$figure"', "ratio": null, "paper_ratio": '"($figure|null)"
for row in null_call:icount:instructions:2 null_call:time:us:5 getppid:icount:instructions:2 getppid:time:us:5; do
	IFS=: read -r name measure unit n <<<"$row"
	grep -qE '^  \{"name": "'"$name"'", "unit": "'"$unit"'/call", "measure": "'"$measure"'", '"$shape"', "n": '"$n"', "spread": [0-9.]+\},?$' \
		"$work/json"
	result $? "JSON: $name, $measure" "$work/json"
done
[ "$(tail -1 "$work/json")" = ']}' ] && [ "$(grep -c '"name"' "$work/json")" -eq 4 ] &&
	grep -q '^ "experiments": \[$' "$work/json"
result $? 'JSON: nothing else' "$work/json"
# What two machines count is the same within 1 %.
! grep -q 'two runs differ' "$work/out" && grep -qE '^getppid .* 0\.[0-9]{2} %' "$work/out"
result $? 'counts are repeatable, and the table says so' "$work/out"

# Schedulers: figures in the JSON, and the picture.
rm -f build/bench/sched.svg
bench/run --only sched_stride --no-linux --measure icount --json "$work/json" >"$work/out" 2>"$work/err" </dev/null
[ $? -eq 0 ] && grep -q '^  {"name": "sched_stride", "system": "exos", "values": {"sched_stride_quanta": \[300, 200, 100\], ' "$work/json" &&
	grep -q '^    sched_stride_error 0\.00' "$work/out" && [ "$(grep -c '<polyline' build/bench/sched.svg)" -eq 3 ]
result $? 'an experiment and its picture' "$work/err"

machine dies 'echo "out of order" >&2; exit 1'
dies dies 'out of order'
machine hangs 'exec sleep 1000'
dies hangs 'not finished within 2 s'
EXO_QEMU="$work/dies" bench/run --only rpc --no-linux --measure icount --json - >"$work/json" 2>"$work/err" </dev/null
[ $? -eq 3 ] && grep -q '^rpc, exos: .*FAILED: .*out of order' "$work/err" &&
	grep -q '"name": "rpc", "system": "exos", "failed": ".*out of order.*", "values": {}' "$work/json"
result $? 'an experiment that dies' "$work/err"

mkdir "$work/bin" "$work/linux"
machine bin/apt-cache 'exit 0'
PATH="$work/bin:$PATH" BENCH_LINUX="$work/linux" refuses 1 'linux-image-cloud-amd64 is not in' --only getppid
bench/run --only getppid --no-linux --measure icount --json /dev/full >/dev/null 2>"$work/err" </dev/null
[ $? -eq 1 ] && tail -1 "$work/err" | grep -q '^bench: /dev/full: No space left'
result $? 'no space' "$work/err"

# A Linux guest that dies at its first row: the next guest goes on with the others, and the run ends.
mkdir -p "$work/linux/boot"
touch "$work/linux/boot/vmlinuz-0" "$work/linux/brd.ko" "$work/linux/complete"
machine linux-dies "echo run >>$work/boots; n=\$(wc -l <$work/boots)
echo @boot; [ \$n -lt 2 ] || { echo @begin getppid; echo @row getppid 1; echo Oops; }; exit 1"
BENCH_LINUX="$work/linux" EXO_QEMU="$work/linux-dies" bench/run --only getppid --only read1 --measure icount \
	>"$work/out" 2>"$work/err" </dev/null
[ $? -eq 3 ] && grep -q '^read1 .*linux, instructions: FAILED: the machine ended with status 1' "$work/out" &&
	grep -q '^getppid .*linux, instructions: FAILED: .*Oops' "$work/out"
result $? 'a Linux guest that dies' "$work/out"
machine linux-hangs 'echo @boot; echo @begin getppid; echo @row getppid 1; exec sleep 1000'
BENCH_LINUX="$work/linux" EXO_QEMU="$work/linux-hangs" bench/run --only getppid --measure icount --deadline 1 \
	>"$work/out" 2>"$work/err" </dev/null
[ $? -eq 3 ] && grep -q '^getppid .*linux, instructions: FAILED: not finished within 1 s' "$work/out"
result $? 'a Linux guest that hangs' "$work/out"
# The same among experiments; its programs begin, print, and are gone.
machine linux-gone "echo @boot; echo @begin gc_barrier; echo gc_minor 1; echo Oops; exit 1"
BENCH_LINUX="$work/linux" EXO_QEMU="$work/linux-gone" bench/run --only gc_barrier --only pager_file --measure icount \
	>"$work/out" 2>"$work/err" </dev/null
[ $? -eq 3 ] && grep -q '^gc_barrier, linux: .*FAILED: .*Oops' "$work/out" &&
	grep -q '^pager_file, linux: .*FAILED: .*Oops' "$work/out"
result $? 'a Linux guest that dies in an experiment' "$work/out"
echo "1..$number"
exit $bad
