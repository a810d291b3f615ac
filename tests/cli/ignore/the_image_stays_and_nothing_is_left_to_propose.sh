dockerfile 'FROM scratch AS all' 'COPY . /all' 'FROM scratch AS part' 'COPY --from=all /all/a /all/d /part/' \
    'FROM scratch' 'COPY --from=part /part/x /'
mkdir d e
touch a d/x d/y e/z '[q]' 'why?'
shale build -q . 2>/dev/null >../before
shale ignore . 2>/dev/null >../lines
cat ../lines
mv ../lines .dockerignore
shale build -q . 2>/dev/null >../after
cmp ../before ../after
shale ignore . 2>&1
