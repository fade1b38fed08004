d=/tmp/f.$$; mkdir $d; mkfifo $d/p
(for i in 1 2 3; do echo line $i; done > $d/p) &
cat $d/p
wait
(cat $d/p | wc -c) & head -c 200000 /dev/zero > $d/p
wait
rm -r $d
