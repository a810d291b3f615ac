for flag in --call=outline \
    --annotation=a=b --policy=filename=x --print=targets; do
    shale build "$flag" . && echo "accepted $flag"
done
true
