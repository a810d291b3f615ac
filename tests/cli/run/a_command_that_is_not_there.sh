commands bb
shale run bb nosuch 2>/dev/null; echo $?
shale run bb /tmp 2>/dev/null; echo $?
shale run bb /nosuch/x 2>/dev/null; echo $?
