module peers/server

go 1.24
