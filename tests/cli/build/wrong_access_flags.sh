dockerfile 'FROM scratch' 'COPY Dockerfile /'
unset SSH_AUTH_SOCK
printf 'no key\n' >text
for flag in --secret=id=x,src=gone --secret=id=gone --secret=id=x,foo=bar --secret=id=x,foo --secret=src=text --secret=id=x,type=y \
    --ssh=default --ssh=default=gone --ssh=default=text --allow=foo --allow=network.host,security.insecure \
    --allow=device=a,b=c --shm-size=x --ulimit=x --ulimit=foo=1 --ulimit=nofile=2:1 --ulimit=nofile=1:2:3; do
    shale build "$flag" . && echo "accepted $flag"
done
shale build -q --load=false --secret id=x,src=text --secret id=y,env=UNSET --allow network.host --allow security.insecure \
    --shm-size 64m --ulimit nofile=10:20 --cgroup-parent x . >/dev/null
