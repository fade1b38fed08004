f=/tmp/u.$$
echo data > $f
exec 3<$f 4>>$f
rm $f
echo more >&4
cat <&3
ls $f 2>/dev/null; echo $?
