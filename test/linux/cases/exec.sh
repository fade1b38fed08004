d=/tmp/e.$$; mkdir $d
cp /bin/busybox $d/sh
printf '#!%s/sh\necho script "$0" "$@" | sed "s,%s,D,"\n' $d $d > $d/s
chmod +x $d/s; $d/s 1 '2 3'
$d/nothing 2>/dev/null; echo $?
echo x > $d/noexec; $d/noexec 2>/dev/null; echo $?
head -c 100 /bin/busybox > $d/cut; chmod +x $d/cut; $d/cut 2>/dev/null; echo $?
env -i A=1 B=2 /bin/busybox env | sort
exec $d/sh -c 'echo replaced; exit 9'
