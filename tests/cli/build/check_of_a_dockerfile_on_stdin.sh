printf 'FROM scratch as Base\nCMD x\n' | shale build --check --progress=none -f - .
echo "exit status $?"
printf 'FROM scratch\nCMD ["x"]\n' | shale build --check --progress=none -
