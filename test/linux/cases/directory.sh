d=/tmp/d.$$; mkdir $d; cd $d
i=0; while [ $i -lt 300 ]; do : > f$i; i=$((i+1)); done
ls | wc -l; rm f1*; ls | wc -l; ls | sort | head -3
mkdir -p x/y; cd x/y; pwd | sed "s,$d,D,"; cd ..; pwd | sed "s,$d,D,"; cd - >/dev/null; pwd | sed "s,$d,D,"
cd $d; mv x z; ls -d z/y; find z -type d | sort
cd /; rm -r $d; ls -d $d 2>/dev/null; echo $?
