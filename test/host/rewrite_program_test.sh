#!/bin/sh
# SPDX-License-Identifier: MIT
# Rewrites a whole static busybox on the host, in three mixes of shapes, and compares what it does with
# the original. Prints TAP. usage: rewrite_program_test.sh SITEPATCH [BUSYBOX]
sitepatch=$1
original=${2:-/bin/busybox}
if [ ! -x "$original" ] || [ ! -x "$sitepatch" ]; then
	echo "1..0 # SKIP no $original or no sitepatch"
	exit 0
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

cat >"$dir/script" <<'END'
$B seq 1 20000 | $B sort -rn | $B md5sum
for i in 1 2 3 4 5 6 7 8; do (exit $i) & done; wait; echo waited
$B sh -c 'kill -SEGV $$'; echo $?
trap 'echo trapped' USR1; kill -USR1 $$
$B find /etc -maxdepth 1 | $B sort | $B md5sum
$B timeout 1 $B sleep 5; echo $?
cd "$D" && echo text >file && $B mkfifo fifo && { $B cat fifo & echo x >fifo; wait; }
$B ln -s file link && $B ls -1 && $B rm file link fifo && $B cat file
read line </etc/passwd; echo "$line"; x=$($B echo substituted); echo "$x"; exit 7
END

compare() {
	rm -rf "$dir/work"
	mkdir "$dir/work"
	B=$1 D=$dir/work "$1" sh "$dir/script" 2>&1 | sed "s|$1|B|g; s|^sh: .*script|sh|"
}

compare "$original" >"$dir/expected"
n=0
status=0
for shapes in "" "-b" "-b -i"; do
	n=$((n + 1))
	mkdir -p "$dir/$n"
	# shellcheck disable=SC2086
	"$sitepatch" $shapes "$original" "$dir/$n/busybox" | sed 's/^/# /'
	compare "$dir/$n/busybox" >"$dir/actual"
	if cmp -s "$dir/expected" "$dir/actual" && grep -q substituted "$dir/actual"; then
		echo "ok $n - rewritten program behaves the same ${shapes:-with all shapes}"
	else
		diff "$dir/expected" "$dir/actual" | sed 's/^/# /'
		echo "not ok $n - rewritten program behaves the same ${shapes:-with all shapes}"
		status=1
	fi
done
echo "1..$n"
exit $status
