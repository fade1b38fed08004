for i in 1 2 3 4 5; do (sleep 0.0$i; exit $i) & done
wait; echo all
(exit 3) & wait $!; echo $?
x=$( (echo a; echo b) | wc -l); echo $x
f() { [ $1 -eq 0 ] && return 0; (f $(($1 - 1))); echo $1; }
f 6
for i in $(seq 40); do (exit $((i % 5))) & done
n=0
wait
echo done
