mkdir -p /tmp/t.$$/a/b/c && cd /tmp/t.$$ || exit 1
echo hello > a/f; echo world >> a/f; cat a/f
ln a/f a/g; ln -s f a/l; cat a/l; readlink a/l
mv a/g a/b/h; ls a a/b; rm a/f; cat a/l 2>/dev/null; echo $?
test -L a/l && echo link; test -e a/l || echo dangling
chmod 600 a/b/h; stat -c '%a %s %h %F' a/b/h
cp a/b/h copy; cmp copy a/b/h && echo same
: > empty; wc -c empty | cut -d' ' -f1
dd if=/dev/zero of=big bs=1000 count=3000 2>/dev/null; stat -c %s big
truncate -s 5000 big 2>/dev/null || dd if=/dev/null of=big bs=1 seek=5000 2>/dev/null; stat -c %s big
printf xyz | dd of=big bs=1 seek=4999 conv=notrunc 2>/dev/null; stat -c %s big; tail -c 4 big | od -An -tx1
rmdir a 2>/dev/null; echo $?
rm -r a; ls; find . | sort
mkdir d; mv d e; rmdir e; ls -d e 2>/dev/null; echo $?
cd /; rm -rf /tmp/t.$$
