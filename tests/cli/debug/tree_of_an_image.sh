mkdir -p root/bin root/etc
printf hello >root/bin/tool
chmod 4755 root/bin/tool
ln root/bin/tool root/bin/twin
ln -s tool root/bin/link
chmod 1777 root/etc
tar --sort=name --mtime=@1000000000 --owner=5 --group=6 --numeric-owner -C root -cf base.tar bin etc
shale import base.tar base >/dev/null
mkdir ctx
printf hi >ctx/f
chmod 640 ctx/f
touch -d @1000000000 ctx/f
printf '%s\n' 'FROM base' 'ENV a=b' 'COPY f /etc/' >ctx/Dockerfile
SOURCE_DATE_EPOCH=1000000001 shale build -q -t image ctx >/dev/null
shale debug tree image | jq -S 'del(.architecture)'
