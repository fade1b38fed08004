seq 1 5000 | grep 7 | sed 's/7/x/g' | sort | uniq -c | sort -rn | head -5
seq 1 100000 | tail -1
yes | head -3
echo one two three | while read a b c; do echo "$c $b $a"; done
false | true; echo $?
true | false; echo $?
{ echo out; echo err >&2; } 2>&1 | sort
