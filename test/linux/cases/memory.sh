awk 'BEGIN { for (i = 0; i < 100000; i++) a[i] = i * 2; s = 0; for (i in a) s += a[i]; print s }'
dd if=/dev/zero bs=4M count=8 2>/dev/null | wc -c
x=; i=0; while [ $i -lt 300 ]; do x=$x$(printf '%0100d' $i); i=$((i+1)); done; echo ${#x}
seq 1 60000 | sort -n -r | sort -n | md5sum
