for flag in --call=outline \
    --policy=filename=x --print=targets; do
    shale build "$flag" . && echo "accepted $flag"
done
true
