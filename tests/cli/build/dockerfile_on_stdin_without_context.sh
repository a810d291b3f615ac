base small
printf 'FROM small\nENV A=b\n' | shale build -q - | wc -l
