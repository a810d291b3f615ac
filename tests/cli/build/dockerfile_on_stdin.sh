echo hello >a
printf 'FROM scratch\nCOPY a /\n' | shale build -q -f - . | wc -l
printf 'FROM scratch\nCOPY a /\n' | shale build --progress none -
