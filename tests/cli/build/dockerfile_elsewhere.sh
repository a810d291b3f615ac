mkdir sub other
printf 'FROM scratch\nCOPY a /\n' >other/Df
echo hello >sub/a
shale build -q -f other/Df sub | wc -l
