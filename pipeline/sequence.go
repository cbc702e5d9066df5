package pipeline

// Sequence is a run of consecutive tokens of one shard's documents, each of
// them followed by the end-of-text token.
type Sequence struct {
	Seq    int32   // index of the sequence in the shard, from 0
	Tokens []int32 // T ids
	Pieces []Piece // in order; together they are Tokens
}

// Row returns the row in which the sequence begins.
func (s Sequence) Row() int64 { return s.Pieces[0].Row }

// Piece is what a sequence holds of one document, its end-of-text token included.
type Piece struct {
	Row        int64
	ID, Domain string // empty where the input has none
	Tokens     int    // how many, at least 1
}
