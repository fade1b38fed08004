# Standard descriptors by name; here-documents and pipes that are opened again.
echo out | { cat >/dev/stdout; } | cat
{ echo err >/dev/stderr; } 2>&1 | cat
echo in | cat /dev/stdin
echo in | cat /proc/self/fd/0
cat /dev/fd/0 <<EOF
here
EOF
exec 5>/tmp/devfd; echo one >&5; echo two >/dev/fd/5; cat /tmp/devfd; exec 5>&-
cat /dev/fd/5 2>&1 | sed 's/^cat: //'
echo x | sh -c 'read a </dev/stdin; echo "got $a"'
for w in stdin stdout stderr fd; do test -e /dev/$w && echo $w; done </dev/null
echo a | { test -p /dev/stdin && echo pipe; }
rm -f /tmp/devfd
