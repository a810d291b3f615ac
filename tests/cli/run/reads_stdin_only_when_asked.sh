commands bb
echo hello | shale run bb cat
echo hello | shale run -i bb cat
