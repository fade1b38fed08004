#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The host command against a stand-in for QEMU: options, programs that cannot run, the archive, the
# channel end to end, exit statuses, terminals; and its QEMU command lines against the real QEMU.
# Prints TAP. Builds what it needs, with sanitizers, into build/host. Run from the top directory.
#
# shellcheck disable=SC2016,SC2317  # single quotes are for eval; functions are called by it

set -u
CC=${CC:-gcc}
OUT=build/host
TMP=$(mktemp -d) || exit 1
trap 'rm -rf "$TMP"' EXIT
n=0
failed=0

FLAGS='-std=gnu11 -O1 -g -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
	-Wundef -Wvla -Iinclude'
SAFE='-fsanitize=address,undefined -fno-sanitize-recover=all'

build() {
	mkdir -p $OUT "$TMP/build/libos" || return 1
	# shellcheck disable=SC2086
	for name in channel_test archive_check fake_qemu pty_test; do
		$CC $FLAGS $SAFE test/host/exo_$name.c -o $OUT/exo_$name || return 1
	done
	# shellcheck disable=SC2086
	$CC $FLAGS $SAFE host/*.c -o $OUT/exo || return 1
	$CC -c test/host/exo_pvh.S -o $OUT/exo_pvh.o || return 1
	ld -n -Ttext 0x100000 -e start $OUT/exo_pvh.o -o $OUT/exo_pvh || return 1
	printf 'kernel' >"$TMP/build/aegis.elf"
	: >"$TMP/build/exos"
	head -c 10000 /dev/zero >"$TMP/build/exos.image"
	printf 'other' >"$TMP/build/libos/other.image"
}

result() { # STATUS NAME
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		failed=1
	fi
}

check() { # NAME SHELL-CONDITION
	eval "$2"
	result $? "$1"
}

# The command must fail with 125, say exactly one line, and that line contains WORDS.
refuses() { # WORDS ARGS...
	words=$1
	shift
	env -u FAKE_QEMU "$EXO" run "$@" >"$TMP/out" 2>"$TMP/err" </dev/null
	status=$?
	lines=$(wc -l <"$TMP/err")
	[ $status -eq 125 ] && [ "$lines" -eq 1 ] && [ ! -s "$TMP/out" ] &&
		grep -q "^exo: " "$TMP/err" && grep -qF -- "$words" "$TMP/err"
	status=$?
	[ $status -eq 0 ] || sed 's/^/# /' "$TMP/err"
	result $status "refused: $words"
}

play() { # PART ARGS...: exo with the stand-in playing PART
	part=$1
	shift
	FAKE_QEMU=$part timeout 60 "$EXO" run "$@"
}

options() {
	refuses 'no PROGRAM' --cpus 1
	refuses 'there is no such option' --bogus x
	refuses 'there is no such option' -x x
	refuses 'a number from 1 to 8' --cpus 0 $P
	refuses 'a number from 1 to 8' --cpus 9 $P
	refuses 'a number from 1 to 8' --cpus=2x $P
	refuses 'a number from 1 to 8' --cpus -1 $P
	refuses 'a size such as' --mem x $P
	refuses 'a size such as' --mem 99999999999999999999G $P
	refuses 'a size such as' --mem -512M $P
	refuses 'at least 64M' --mem 1M $P
	refuses 'needs a value' --mem
	refuses 'takes no value' --icount=1 $P
	refuses 'implies one CPU' --icount --cpus 2 $P
	refuses 'needs --accel tcg' --icount --accel kvm $P
	refuses 'tcg, kvm or auto' --accel fast $P
	refuses 'a number of seconds' --timeout soon $P
	refuses 'a number of seconds' --timeout -1 $P
	refuses 'NAME=VALUE' --env NAME $P
	refuses 'NAME=VALUE' --env =x $P
	refuses 'not yet' --net tap=tap0 $P
	refuses 'none, user or tap' --net wifi $P
	refuses 'not yet' --publish 80:80 $P
	refuses 'not yet' --ip 10.0.0.1/24 $P
	refuses 'not yet' --disk disk.img $P
	refuses 'not a name' --libos ../exos $P
	refuses 'run "make"' --libos nosuch $P
	refuses 'q35, pc or microvm' --machine vax $P
	refuses '--kernel /nonexistent' --kernel /nonexistent $P
	refuses '--log /nonexistent/log' --log /nonexistent/log $P
	refuses '--root /nonexistent' --root /nonexistent $P
	refuses 'is not a directory' --root /etc/passwd $P
	refuses '/nonexistent' --file /nonexistent $P
	refuses 'absolute path' --file /etc/passwd:relative $P
	refuses 'a quote is open' --with "/bin/busybox 'x" $P
	refuses 'is not a command' --with ' ' $P
	refuses 'no such' --with /nonexistent $P
	refuses 'needs a PROGRAM' --libos other --with $P
	check 'help and version go to standard output with status 0' '
		$EXO --help | grep -q "exo run" && $EXO run --help | grep -q -- "--icount" &&
		$EXO version | grep -q "^exo [0-9]" && $EXO run --cpus 1 --help >/dev/null'
	check 'no command and an unknown one: 125' '
		$EXO 2>/dev/null; [ $? -eq 125 ] && { $EXO fly 2>/dev/null; [ $? -eq 125 ]; }'
	check 'missing artefacts are named' '
		EXO_BUILD=/nonexistent $EXO run $P 2>"$TMP/err"; [ $? -eq 125 ] &&
		grep -q "/nonexistent/aegis.elf.*make" "$TMP/err"'
	check 'a missing QEMU is named' '
		env -u EXO_QEMU PATH=/nonexistent $EXO run $P 2>"$TMP/err"; [ $? -eq 125 ] &&
		grep -q qemu-system-x86 "$TMP/err"'
}

# A copy of the static program with the byte at OFFSET replaced by the octal VALUE.
patched() { # OFFSET VALUE
	cp $P "$TMP/patched"
	# shellcheck disable=SC2059
	printf "\\$2" | dd of="$TMP/patched" bs=1 seek="$1" conv=notrunc 2>/dev/null
}

programs() {
	refuses 'no such file' /nonexistent
	refuses 'Not a directory' "$TMP/build/exos/below"
	refuses 'no such program' no-such-program-here
	refuses 'is empty' ''
	refuses 'is a directory' /tmp
	refuses 'is a directory' /
	refuses 'not a regular file' /dev/null
	refuses 'is not executable' /etc/passwd
	: >"$TMP/empty" && chmod +x "$TMP/empty"
	refuses 'is empty' "$TMP/empty"
	head -c 5000 /dev/urandom | tr -d '\177' >"$TMP/random" && chmod +x "$TMP/random"
	refuses 'neither an ELF file nor' "$TMP/random"
	for size in 4 10 19 20 63 64 100 300 4096 100000; do
		head -c $size $P >"$TMP/short" && chmod +x "$TMP/short"
		refuses 'is truncated' "$TMP/short"
	done
	head -c 3 $P >"$TMP/short"
	refuses 'neither an ELF file nor' "$TMP/short"
	patched 4 001 && refuses 'x32' "$TMP/patched"
	patched 4 007 && refuses 'class' "$TMP/patched"
	patched 5 002 && refuses 'big-endian' "$TMP/patched"
	patched 5 000 && refuses 'byte order' "$TMP/patched"
	patched 7 011 && refuses 'another operating system' "$TMP/patched"
	patched 16 001 && refuses 'object file' "$TMP/patched"
	patched 16 004 && refuses 'core dump' "$TMP/patched"
	patched 18 267 && refuses '64-bit ARM' "$TMP/patched"
	patched 18 003 && refuses "32-bit x86" "$TMP/patched"
	patched 31 377 && refuses 'entry point' "$TMP/patched"
	patched 39 377 && refuses 'is truncated' "$TMP/patched"
	patched 54 001 && refuses 'program headers' "$TMP/patched"
	patched 56 000 && refuses 'program headers' "$TMP/patched"
	refuses 'is a dynamic program' "$DYNAMIC"
	script '#!/nonexistent/sh' && refuses 'its interpreter /nonexistent/sh' "$TMP/script"
	script '#!' && refuses 'names no interpreter' "$TMP/script"
	script '#!sh' && refuses 'not an absolute path' "$TMP/script"
	script "#!$TMP/script" && refuses 'too many interpreters' "$TMP/script"
	script "#!$DYNAMIC" && refuses 'is a dynamic program' "$TMP/script"
	script "#!$(head -c 300 /dev/zero | tr '\0' /)" && refuses 'too long' "$TMP/script"
	printf '#!%s sh\r\n' $P >"$TMP/script" && refuses 'carriage return' "$TMP/script"
}

script() { # FIRST-LINE
	printf '%s\necho hi\n' "$1" >"$TMP/script"
	chmod +x "$TMP/script"
}

# Runs exo with ARGS and leaves the members of its archive in $TMP/list, the manifest in $TMP/manifest.
archived() {
	FAKE_QEMU_ARCHIVE=$TMP/archive FAKE_QEMU=manifest $EXO run "$@" >"$TMP/manifest" \
		2>"$TMP/err" </dev/null && "$OUT/exo_archive_check" "$TMP/archive" >"$TMP/list"
}

archives() {
	root=$TMP/root
	mkdir -p "$root/usr/bin" "$root/etc/empty" "$root/var/sticky"
	ln -s usr/bin "$root/bin"
	cp $P "$root/usr/bin/busybox"
	ln "$root/usr/bin/busybox" "$root/usr/bin/cat"
	ln -s busybox "$root/usr/bin/sh"
	ln -s ../../../../../.. "$root/etc/up"
	: >"$root/etc/nothing"
	printf x >"$root/etc/one"
	head -c 4096 /dev/zero >"$root/etc/page"
	head -c 4097 /dev/zero >"$root/etc/more"
	mkfifo "$root/var/fifo"
	chmod 1777 "$root/var/sticky"
	chmod 4711 "$root/etc/one"
	long=$(head -c 200 /dev/zero | tr '\0' n)
	mkdir -p "$root/$long/$long" && : >"$root/$long/$long/$long"

	check 'the default root: archive and manifest are right' '
		archived $P echo "a b" "" && grep -q "^100444 .* boot/exos$" "$TMP/list" &&
		grep -q "^100444 .* boot/manifest$" "$TMP/list" &&
		grep -q "^041777 .* root/tmp$" "$TMP/list" && grep -q "^100755 .* root$P$" "$TMP/list" &&
		grep -qx "0.arg=a b" "$TMP/manifest" && grep -qx "0.arg=" "$TMP/manifest" &&
		grep -qx "0.path=$P" "$TMP/manifest" && grep -qx "0.stdin=null" "$TMP/manifest" &&
		grep -qx "0.stdout=file" "$TMP/manifest" && grep -qx "domains=1" "$TMP/manifest"'
	check 'another reader of cpio agrees' '
		busybox cpio -t <"$TMP/archive" 2>/dev/null >"$TMP/names" &&
		sed "s/^[^ ]* [^ ]* [^ ]* [^ ]* //" "$TMP/list" | cmp -s - "$TMP/names" &&
		mkdir "$TMP/x" && (cd "$TMP/x" && busybox cpio -id <"$TMP/archive" 2>/dev/null) &&
		cmp "$TMP/x/root$P" $P && cmp "$TMP/x/boot/exos" "$TMP/build/exos.image" &&
		cmp -n 10000 -i 4096:0 "$TMP/archive" "$TMP/build/exos.image"'
	check '--root: links, modes, empty files, FIFOs, long names' '
		archived --root "$root" /bin/sh && grep -q "^120777 1 7 .* root/bin$" "$TMP/list" &&
		grep -q "^100755 2 [1-9].* root/usr/bin/busybox$" "$TMP/list" &&
		grep -q "^100755 2 0 .* root/usr/bin/cat$" "$TMP/list" &&
		grep -q "^104711 1 1 .* root/etc/one$" "$TMP/list" &&
		grep -q "^100... 1 0 .* root/etc/nothing$" "$TMP/list" &&
		grep -q "^010... .* root/var/fifo$" "$TMP/list" &&
		grep -q "^041777 .* root/var/sticky$" "$TMP/list" &&
		grep -q "/$long/$long/$long$" "$TMP/list" &&
		grep -q "^041777 .* root/tmp$" "$TMP/list" && [ ! -s "$TMP/err" ]'
	check 'a program of the root is found there, by path and by name' '
		grep -qx "0.path=/bin/sh" "$TMP/manifest" && archived --root "$root" sh -c x &&
		grep -qx "0.path=/usr/bin/sh" "$TMP/manifest"'
	check 'a program of the host goes through the root'\''s links, not the host'\''s' '
		cp $P "$TMP/prog" && archived --root "$root" --file "$TMP/prog:/etc/up/bin/new" \
			--file "$TMP/prog:/usr/bin/sh" "$TMP/prog" &&
		grep -q " root/usr/bin/new$" "$TMP/list" && grep -q "^100755 .* root/usr/bin/sh$" "$TMP/list" &&
		grep -q " root$TMP/prog$" "$TMP/list"'
	check '--file: folders, folder targets, colons in names' '
		mkdir -p "$TMP/dir/sub" && : >"$TMP/dir/sub/a:b" && cp $P "$TMP/dir/p" &&
		archived --file "$TMP/dir:/opt" --file "$TMP/dir/sub/a:b" --file "$TMP/prog:/opt/" $P &&
		grep -q " root/opt/sub/a:b$" "$TMP/list" && grep -q " root/opt/prog$" "$TMP/list" &&
		grep -q " root$TMP/dir/sub/a:b$" "$TMP/list"'
	check 'a file in place of a directory is refused' '
		! archived --root "$root" --file "$TMP/prog:/etc" $P &&
		! archived --root "$root" --file "$TMP/prog:/etc/one/x" $P &&
		ln -sf loop "$root/loop" && ! archived --root "$root" --file "$TMP/prog:/loop/x" $P;
		status=$?; rm -f "$root/loop"; [ $status -eq 0 ]'
	mknod "$root/device" c 1 3 2>/dev/null
	if [ -e "$root/device" ]; then
		check 'devices are left out with a note' '
			archived --root "$root" sh && grep -q "left out.*1 device" "$TMP/err" &&
			! grep -q "root/device" "$TMP/list"'
	fi
	check 'scripts take their interpreters along' '
		script "#! $TMP/prog  sh -x" && archived "$TMP/script" && grep -q " root$TMP/script$" "$TMP/list" &&
		grep -q " root$TMP/prog$" "$TMP/list" && grep -qx "0.path=$TMP/script" "$TMP/manifest"'
	check '--env, --with, --guest-opt and --cpus are in the manifest' '
		archived --env A=1 --env PATH=/x --env A=2 --guest-opt chaos=7 --cpus 3 \
			--with "$P echo \"a b\" c\\ d '\''e \"f'\''" --with "$P x" $P -- y &&
		grep -qx "0.env=A=2" "$TMP/manifest" && ! grep -q "A=1" "$TMP/manifest" &&
		[ "$(grep -c "^0.env=PATH=" "$TMP/manifest")" = 1 ] &&
		grep -qx "option.chaos=7" "$TMP/manifest" && grep -qx "cpus=3" "$TMP/manifest" &&
		grep -qx "domains=3" "$TMP/manifest" && grep -qx "1.arg=a b" "$TMP/manifest" &&
		grep -qx "1.arg=c d" "$TMP/manifest" && grep -qx "1.arg=e \"f" "$TMP/manifest" &&
		grep -qx "1.name=busybox.2" "$TMP/manifest" && grep -qx "2.name=busybox.3" "$TMP/manifest" &&
		grep -qx "0.arg=--" "$TMP/manifest" && grep -qx "1.stdin=null" "$TMP/manifest"'
	check 'another library OS, without a program' '
		archived --libos other && grep -q " boot/other$" "$TMP/list" &&
		grep -qx "domains=0" "$TMP/manifest"'
	check 'too little memory for the files is refused' '
		head -c 30000000 /dev/zero >"$TMP/large" && ! archived --mem 64M --file "$TMP/large" $P &&
		grep -q "at least --mem" "$TMP/err" && archived --mem 128M --file "$TMP/large" $P;
		status=$?; rm -f "$TMP/large"; [ $status -eq 0 ]'
	check 'an archive that does not fit in memory goes through TMPDIR and leaves nothing there' '
		mkdir "$TMP/tmp" && head -c 70000000 /dev/zero >"$TMP/large" &&
		TMPDIR=$TMP/tmp FAKE_QEMU=quit FAKE_QEMU_N=33 $EXO run --file "$TMP/large" $P 2>/dev/null
		rm -f "$TMP/large"; [ -z "$(ls -A "$TMP/tmp")" ]'
}

# ARGS become lines of $TMP/args.
command_line() {
	FAKE_QEMU_ARGS=$TMP/args FAKE_QEMU=two FAKE_QEMU_N=0 "$EXO" run "$@" >/dev/null 2>&1
}

channel() {
	check 'standard output and error are apart, the status is the program'\''s' '
		FAKE_QEMU_N=7 play two $P >"$TMP/out" 2>"$TMP/err"; [ $? -eq 7 ] &&
		echo out | cmp -s - "$TMP/out" && echo err | cmp -s - "$TMP/err"'
	for value in 0 1 125 255; do
		check "exit status $value" "FAKE_QEMU_N=$value play two $P >/dev/null 2>&1; [ \$? -eq $value ]"
	done
	for value in 1 11 15; do
		check "killed by signal $value" \
			"FAKE_QEMU_N=$value play kill $P; [ \$? -eq \$((128 + $value)) ]"
	done
	head -c 10000000 /dev/urandom >"$TMP/in"
	check '10 MB through a pipe in and a pipe out, byte for byte' '
		cat "$TMP/in" | play cat $P | cmp - "$TMP/in"'
	check 'the same from a file to a file' 'play cat $P <"$TMP/in" >"$TMP/out" && cmp "$TMP/in" "$TMP/out"'
	check 'the same with little credit' '
		head -c 100000 "$TMP/in" | FAKE_QEMU_N=100 play cat $P | cmp -n 100000 - "$TMP/in"'
	check 'many small frames to a slow reader' '
		FAKE_QEMU_N=200000 play small $P | { sleep 0.3; cat; } | wc -c | grep -qx 200000'
	check 'much output to a slow reader, complete at the exit' '
		FAKE_QEMU_N=3000000 play bulk $P | { sleep 0.3; cat; } >"$TMP/out" &&
		FAKE_QEMU_N=3000000 play bulk $P >"$TMP/out2" && cmp "$TMP/out" "$TMP/out2" &&
		[ "$(wc -c <"$TMP/out")" -eq 3000000 ]'
	check 'one file for output and error keeps their order' '
		play order $P >"$TMP/out" 2>&1 && [ "$(uniq "$TMP/out" | wc -l)" -eq 600 ] &&
		play order $P 2>&1 | uniq | wc -l | grep -qx 600'
	check 'two files do not' 'play order $P 2>"$TMP/err" | uniq | grep -qx a'
	check 'a reader that goes away: SIGPIPE' '
		{ play flood $P; echo $? >"$TMP/status"; } | head -n 1 | grep -qx y &&
		grep -qx 141 "$TMP/status"'
	check 'a full device: status 125 and a message, if the program did not notice' '
		play full $P >/dev/full 2>"$TMP/err"; [ $? -eq 125 ] && grep -q "No space" "$TMP/err"'
	check 'output that the program closed ends for its reader' '
		mkfifo "$TMP/fifo"; FAKE_QEMU=end sigdfl TERM >"$TMP/fifo" & pid=$!
		timeout 20 cat "$TMP/fifo" >"$TMP/out"; kill -TERM $pid; wait $pid; [ $? -eq 5 ] &&
		echo last | cmp -s - "$TMP/out"'
	check 'input that is not asked for is not taken' '
		printf "a\nb\n" | { FAKE_QEMU_N=0 play two $P >/dev/null 2>&1; cat; } | grep -qx a'
	check 'input that cannot be read ends' 'play cat $P </tmp >"$TMP/out" && [ ! -s "$TMP/out" ]'
	check 'descriptors that are closed' '
		FAKE_QEMU_N=4 play two $P <&- >&- 2>/dev/null; [ $? -eq 4 ] && { play manifest $P <&- 2>&- >"$TMP/out" &&
		grep -qx "0.stdin=closed" "$TMP/out" && grep -qx "0.stderr=closed" "$TMP/out"; }'
	check 'the lines of --with programs are whole, prefixed, on standard error' '
		play with --with "$P yes" --with "$P no" $P >"$TMP/out" 2>"$TMP/err" &&
		echo alone | cmp -s - "$TMP/out" && [ "$(grep -cx "busybox.2: one line" "$TMP/err")" -eq 1000 ] &&
		[ "$(grep -cx "busybox.3: two" "$TMP/err")" -eq 1000 ] &&
		grep -qx "busybox.2: unfinished" "$TMP/err" && [ "$(wc -l <"$TMP/err")" -eq 2002 ]'
	for number in HUP:1 INT:2 QUIT:3 USR1:10 TERM:15; do
		value=${number#*:}
		number=${number%:*}
		check "SIG$number goes to the program" "
			mkfifo $TMP/fifo.$number; FAKE_QEMU=signal sigdfl $number >$TMP/fifo.$number & pid=\$!
			read -r line <$TMP/fifo.$number; kill -$number \$pid; wait \$pid
			[ \$? -eq \$((128 + $value)) ]"
	done
}

# exo with SIGNAL at its default, which a shell takes from the jobs it puts in the background.
sigdfl() {
	exec env --default-signal="$1" "$EXO" run "$P"
}

# Whether a process ends within a second; one that nobody waits for has ended too.
ended() { # PID
	for _ in $(seq 50); do
		case $(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) in
		'' | Z) return 0 ;;
		esac
		sleep 0.02
	done
	return 1
}

failures() {
	check 'a panic: 125, the report and no control characters' '
		play panic $P 2>"$TMP/err"; [ $? -eq 125 ] && grep -q "kernel panicked" "$TMP/err" &&
		grep -qx "  | panic: all is ?lost" "$TMP/err" && grep -qx "  | backtrace" "$TMP/err" &&
		[ "$(wc -l <"$TMP/err")" -eq 21 ]'
	check 'a panic: names from the kernel that was given' '
		play panic --kernel $OUT/exo_pvh $P 2>"$TMP/err"
		grep -qx "  |   rip 0000000000100001 start+0x1" "$TMP/err"'
	check 'a panic after the exit is not overlooked' '
		play late $P >"$TMP/out" 2>"$TMP/err"; [ $? -eq 125 ] && echo done | cmp -s - "$TMP/out" &&
		grep -q "after the program" "$TMP/err"'
	check 'QEMU that does not start: 125 and what it said' '
		FAKE_QEMU_N=1 play quit $P 2>"$TMP/err"; [ $? -eq 125 ] &&
		grep -q "something is wrong" "$TMP/err"'
	for value in 33 97 0; do
		check "a machine that ends ($value) without an exit status: 125" "
			FAKE_QEMU_N=$value play quit $P 2>$TMP/err; [ \$? -eq 125 ] &&
			grep -q 'exo: the ' $TMP/err"
	done
	check 'bytes that are no frames: 125, for 20 seeds' '
		bad=0
		for seed in $(seq 20); do
			FAKE_QEMU_N=$seed play garbage $P >/dev/null 2>"$TMP/err"
			[ $? -eq 125 ] && grep -q "broke the rules" "$TMP/err" || bad=1
		done; [ $bad -eq 0 ]'
	check 'more than the credit: 125' '
		play overrun $P >/dev/full 2>"$TMP/err" || play overrun $P 2>"$TMP/err" | { sleep 1; cat; } |
			wc -c >/dev/null; grep -q "broke the rules" "$TMP/err"'
	check '--timeout: 124, what was written before is there' '
		play hang --timeout 0.3 $P >"$TMP/out" 2>"$TMP/err"; [ $? -eq 124 ] &&
		echo before | cmp -s - "$TMP/out"'
	check '--timeout ends a run whose output nobody takes' '
		{ FAKE_QEMU_N=9000000 play bulk --timeout 0.3 $P 2>/dev/null; echo $? >"$TMP/status"; } |
			sleep 1; grep -qx 124 "$TMP/status"'
	check 'a machine that does not end by itself is ended' 'play stay $P; [ $? -eq 6 ]'
	check 'the machine dies with exo' '
		FAKE_QEMU=early FAKE_QEMU_ARGS=$TMP/args $EXO run $P & pid=$!
		while [ ! -s "$TMP/args" ]; do sleep 0.05; done
		child=$(cat /proc/$pid/task/$pid/children); kill -KILL $pid; wait $pid 2>/dev/null
		ended "${child% }"'
	check '--log keeps the kernel'\''s log' '
		play panic --log "$TMP/log" $P 2>/dev/null; [ "$(grep -c "kernel line" "$TMP/log")" -eq 30 ]'
	check 'the command line of the machine' '
		command_line --cpus 3 --mem 1G --kernel-opt "a b" --qemu-opt -foo $P &&
		grep -qx "exit=0x501 chan=0x80 wall=[0-9]\{19\} a b" "$TMP/args" && grep -qx "1024M" "$TMP/args" &&
		grep -qx "tcg,thread=multi" "$TMP/args" && grep -qx -- "-foo" "$TMP/args" &&
		command_line --icount $P && grep -qx "shift=0,sleep=off" "$TMP/args" &&
		grep -qx "tcg,thread=single" "$TMP/args" && [ "$(grep -A1 -x -- -smp "$TMP/args" | tail -1)" = 1 ] &&
		command_line --libos other --machine microvm $P &&
		grep -qx "exit=0x501 chan=0x80 wall=[0-9]* ecam=0x[0-9a-f]* window=0x[0-9a-f]*" "$TMP/args" &&
		grep -q "^microvm,pcie=on" "$TMP/args"'
	check '--gdb waits and prints the command to attach' '
		FAKE_QEMU_ARGS=$TMP/args FAKE_QEMU_N=0 play two --gdb $P 2>"$TMP/err" >/dev/null &&
		grep -qx -- -S "$TMP/args" && port=$(sed -n "s/^tcp:127.0.0.1://p" "$TMP/args") &&
		grep -q "gdb .*aegis.elf.*exos.*target remote 127.0.0.1:$port" "$TMP/err"'
	[ -w /dev/kvm ] || return
	check 'auto: tcg where the probe fails, and that is remembered' '
		export XDG_CACHE_HOME="$TMP/no"
		command_line --accel auto $P && grep -q "^tcg" "$TMP/args" &&
		grep -q " no$" "$TMP/no/exo/kvm" && FAKE_QEMU_KVM=1 command_line --accel auto $P &&
		grep -q "^tcg" "$TMP/args"'
	check 'auto: kvm where the probe boots, once for each boot of the host' '
		export XDG_CACHE_HOME="$TMP/yes"
		FAKE_QEMU_KVM=1 command_line --accel auto $P && grep -qx kvm "$TMP/args" &&
		command_line --accel auto $P && grep -qx kvm "$TMP/args" &&
		sed -i "s/^./x/" "$TMP/yes/exo/kvm" && command_line --accel auto $P && grep -q "^tcg" "$TMP/args"'
	check 'auto: a probe that hangs is ended' '
		export XDG_CACHE_HOME="$TMP/hang"
		FAKE_QEMU=early timeout 10 $EXO run --accel auto --timeout 0.1 $P \
			2>/dev/null; [ $? -eq 124 ] && grep -q " no$" "$TMP/hang/exo/kvm"'
}

machines() {
	command -v qemu-system-x86_64 >/dev/null || return 0
	for machine in q35 pc microvm; do
		for more in '--cpus 1' '--cpus 4' '--icount'; do
			check "QEMU takes the command line and the archive: $machine $more" "
				timeout 60 env -u EXO_QEMU $EXO run --machine $machine $more \
					--kernel $OUT/exo_pvh $P 2>$TMP/err
				[ \$? -eq 125 ] && grep -qx '  | archive found' $TMP/err"
		done
	done
}

build || {
	echo "Bail out! the tests cannot be built"
	exit 1
}
export ASAN_OPTIONS=detect_leaks=0
export EXO_BUILD="$TMP/build" EXO_QEMU="$PWD/$OUT/exo_fake_qemu"
EXO=$PWD/$OUT/exo
P=/bin/busybox
DYNAMIC=$(command -v env)

# The unit tests and the terminal tests print TAP of their own: it is numbered on here.
unit() {
	"$@" >"$TMP/tap" 2>"$TMP/err"
	status=$?
	while IFS= read -r line; do
		case $line in
		'ok '*) result 0 "${line#*- }" ;;
		'not ok '*) result 1 "${line#*- }" ;;
		esac
	done <"$TMP/tap"
	[ $status -eq 0 ] || { sed 's/^/# /' "$TMP/err"; result 1 "$1 ended with status $status"; }
}

unit $OUT/exo_channel_test
options
programs
archives
channel
failures
unit $OUT/exo_pty_test "$EXO" "$EXO_QEMU" $P
machines
echo "1..$n"
exit $failed
