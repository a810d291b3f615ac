shale debug word --batch <<'END'
{"id":1,"input":"a$b'c d'","env":["b=1 2"]}
{"id":2,"input":"`$b","escape":"`"}
{"id":3,"input":"${b","env":[]}
{"id":4,"input":"${b:?not here}"}
{"id":5,"input":"a","escape":"x"}
{"id":6,"input":"a","env":[1]}
{"id":7,"input":"a\u0000b"}
END
