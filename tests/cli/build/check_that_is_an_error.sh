printf '# check=error=true\nFROM scratch AS Base\n' >Dockerfile
shale build --progress plain .
shale build --check --progress none . >/dev/null
printf 'FROM scratch AS Base\nNOSUCH\n' >Dockerfile
shale build --check --progress none .
