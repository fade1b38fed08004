d=/tmp/r.$$; mkdir $d; cd $d
echo a > x 2>&1; echo b >> x; cat < x
cat <<EOF
here $((1 + 2))
EOF
exec 5> y; echo five >&5; exec 5>&-; cat y
(echo no >&5) 2>/dev/null; echo $?
set -o noclobber; (echo z > y) 2>/dev/null; echo $?
cat x y | tee z | wc -l; cmp z z && echo eq
: > n; cat n nonexistent 2>/dev/null; echo $?
cd /; rm -r $d
