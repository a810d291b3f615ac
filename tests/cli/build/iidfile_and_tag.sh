dockerfile 'FROM scratch' 'COPY Dockerfile /'
echo old >iid
shale build -q --iidfile iid -t a:1 -t b . >id
[ "$(cat iid)" = "$(cat id)" ] && shale images --format json --no-trunc | jq -r '[.Repository, .Tag, .ID] | join(" ")' |
    sed "s/$(cat id)/ID/"
