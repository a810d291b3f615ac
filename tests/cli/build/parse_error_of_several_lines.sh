dockerfile 'FROM scratch' 'COPY a \' '  b \' '  --from=x' 'ENV' '# end'
shale build --progress none .
