dockerfile 'FROM scratch' 'COPY Dockerfile /'
for words in build 'buildx build' 'buildx b' 'builder build' 'image build'; do
    # shellcheck disable=SC2086
    shale $words --load=false -q .
done | sort -u | wc -l
