echo gone > /dev/null; cat /dev/null | wc -c
head -c 100 /dev/zero | od -An -v -tx1 | sort -u
echo x > /dev/full 2>/dev/null; echo $?
head -c 64 /dev/urandom | wc -c
head -c 32 /dev/random | wc -c
[ "$(head -c 16 /dev/urandom | md5sum)" != "$(head -c 16 /dev/urandom | md5sum)" ] && echo differ
