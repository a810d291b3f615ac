# ten doublings and a thousand names: each value is small, their sum is not
{
    echo FROM scratch
    echo "ENV a0=0123456789012345678901234567890123456789012345678901234567890123"
    for i in 1 2 3 4 5 6 7 8 9 10; do echo "ENV a$i=\$a$((i - 1))\$a$((i - 1))"; done
    i=0
    while [ $i -lt 1000 ]; do
        echo "ENV v$i=\$a10"
        i=$((i + 1))
    done
} >Dockerfile
shale build --progress=none . 2>&1 | tail -n 1
