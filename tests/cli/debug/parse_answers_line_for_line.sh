# A line that is no request is answered with an error, and the next one is read.
shale debug parse --batch <<'END'
{"id":"ok","input":"FROM x AS y\nRUN <<EOF\necho\nEOF\nONBUILD RUN z\n"}
{"id":"no stage","input":"ARG x\n"}
{"id":"instruction","input":"FROM x\nARG\n"}
{"id":"syntax","input":"FROM x\nRUN <<EOF\n"}
{"id":["any", 1],"input":""}
{"id":"no input"}
{"id":"twice","id":"twice"}
no JSON

[]
{"id":"after that","input":"CMD [\"a\"]"}
END
printf '{"id":"no line feed","input":"FROM x"}' | shale debug parse --batch
