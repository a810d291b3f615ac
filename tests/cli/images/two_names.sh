shale images a b
