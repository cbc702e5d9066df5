package shards

type rowLines struct{}

func newRowLines(*outTable, *lineWriter) (tableSink, error) { return nil, nil }
