seq 5000 | sed 's/.*/{"id":&,"input":"FROM x:&"}/' | shale debug parse --batch >answers
jq -s -c '[length, .[0].dump, .[-1].dump]' answers
# An answer comes as soon as its question was put, and a line may be long.
{
    printf '{"id":1,"input":"x"}\n'
    head -c 17000000 /dev/zero | tr '\0' a
    printf '\n{"id":2,"input":"y"}\n'
} | shale debug word --batch
