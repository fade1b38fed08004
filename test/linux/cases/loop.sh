i=0
while [ $i -lt 60 ]; do
	x=$(echo $i | sed 's/^/n/')
	[ "$x" = "n$i" ] || echo bad $i
	i=$((i + 1))
done
echo $i
