coproc shale debug word --batch
for word in a b; do
    echo "{\"id\":1,\"input\":\"$word\"}" >&"${COPROC[1]}"
    read -r -t 60 answer <&"${COPROC[0]}"
    echo "$answer"
done
