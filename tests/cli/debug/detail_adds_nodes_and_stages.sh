shale debug parse --batch --detail <<'END' | jq -c 'del(.dump), keys'
{"id":1,"input":"# note\nFROM x AS y\nRUN <<EOF\necho\nEOF\nHEALTHCHECK CMD z\n"}
END
shale debug directive --batch <<<'{"id":1,"name":"escape","input":"# escape=`\nFROM x"}'
shale debug heredoc --batch <<<'{"id":1,"input":"<<-\"E\""}'
shale debug device --batch <<<'{"id":1,"input":"vendor.com/gpu=all,required"}'
