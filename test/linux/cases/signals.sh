trap 'echo usr1' USR1
trap 'echo term' TERM
kill -USR1 $$
kill -TERM $$
sh -c 'kill -ABRT $$'; echo $?
sh -c 'kill -KILL $$'; echo $?
sleep 100 & p=$!; sleep 0.2
kill $p; wait $p; echo $?
trap '' INT; sh -c 'kill -INT $$; echo ignored'
trap 'echo bye' EXIT
