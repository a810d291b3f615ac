shale debug ignore --batch <<'END'
{"id":1,"patterns":["a","!a/b"],"path":"a/c"}
{"id":2,"patterns":["a","!a/b"],"path":"a/b"}
{"id":3,"patterns":["[a"],"path":"a"}
{"id":4,"file":"# no\n a/ \n!b\n"}
{"id":5,"file":"a\n[\n"}
{"id":6,"path":"a"}
END
