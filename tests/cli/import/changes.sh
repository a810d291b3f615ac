layer_tar x.tar
shale import -c 'ENV A=b' --change 'CMD ["x"]' -m hello x.tar x >/dev/null
printf 'FROM x\nCOPY Dockerfile /\n' >Dockerfile
shale build --progress none -o type=oci,dest=o.tar . && mkdir o && tar --warning=none -xf o.tar -C o
grep -l '"rootfs"' o/blobs/sha256/* 2>/dev/null | xargs jq -c '[.config.Env, .config.Cmd, .history[0].comment]'
