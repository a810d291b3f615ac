printf 'FROM scratch\nMAINTAINER me\n' >Dockerfile
shale build --call=check,ignorestatus=true --progress=none . >/dev/null && echo warnings are no failure
printf 'FROM scratch\nMAINTAINER\n' >Dockerfile
shale build --call=check,ignorestatus=true --progress=none . >/dev/null || echo errors are
