d=/tmp/m.$$; mkdir $d; cd $d
umask 077; : > a; mkdir b; stat -c '%a %n' a b
umask 022; : > c; stat -c '%a %n' c
chmod u+s,g-w c; stat -c %a c; chmod 1777 b; stat -c %a b
touch -d '2020-01-02 03:04:05' c; date -u -r c '+%Y-%m-%d' 
cd /; rm -r $d
