shale debug nosuch
echo $?
shale debug parse
echo $?
shale debug parse --batch x
echo $?
shale debug tree
echo $?
shale debug tree nosuch
echo $?
shale debug tree oci:nosuch
echo $?
shale debug
