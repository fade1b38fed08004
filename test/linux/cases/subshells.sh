a=1; (a=2; echo $a); echo $a
echo $(echo $(echo $(echo deep)))
pid=$$; sh -c '[ $PPID = '$pid' ] && echo parent'
( (exit 4); echo $? ); echo $?
{ sleep 0.1; echo late; } & echo early; wait
