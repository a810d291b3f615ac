for flag in --push --call=outline --secret=id=x --ssh=default --build-context=a=b --allow=security.insecure \
    --annotation=a=b --policy=filename=x --print=targets; do
    shale build "$flag" . && echo "accepted $flag"
done
true
