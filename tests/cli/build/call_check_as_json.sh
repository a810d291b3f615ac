printf 'FROM scratch AS base\nMAINTAINER "me"\nCMD a\nCOPY --chmod=9 a b\n' >Dockerfile
shale build --call=check,format=json --progress=none .
echo "exit status $?"
printf 'FROM scratch\n' >Dockerfile
shale build --call=lint,format=json --progress=none .
