x=$(head -c 20000 /dev/zero | tr '\0' x)
export x
/bin/busybox sh -c 'echo ${#x}'
set -- $(seq 2000); echo $#
/bin/busybox echo "$@" | wc -c
