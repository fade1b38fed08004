seq 1 200 | awk '{ s += $1; if ($1 % 50 == 0) print $1, s }'
printf 'b 2\na 1\nc 3\n' | sort -k2 -n -r
echo 'The quick brown fox' | tr 'a-z' 'A-Z' | rev
echo abcabc | sed -e 's/b/[&]/g' -e 's/^./X/'
printf '%05d|%-6s|%x\n' 42 ab 255
seq 10 | paste -d, - - - - -
echo 'a:b:c' | cut -d: -f2
seq 1 3000 | md5sum; seq 1 3000 | sha256sum; seq 1 3000 | gzip -c | gunzip -c | md5sum
