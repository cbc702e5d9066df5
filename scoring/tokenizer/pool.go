package tokenizer

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	// jobBytes is the text that a goroutine takes at a time.
	jobBytes = 64 << 10
	// longText is the size from which on a text is encoded by itself, its ids
	// handed out in parts.
	longText = 1 << 20
)

// Pool encodes many texts on several goroutines, each with an Encoder of its own,
// and gives their ids in the order of the texts: the result does not depend on
// how many there are. A Pool serves one caller at a time.
type Pool struct {
	t        *Tokenizer
	encoders []*Encoder // made when they are needed
	jobs     []job
}

// job is a run of texts.
type job struct {
	from, to int
	ids      []int32
	ends     []int // in ids, of each text
}

// NewPool returns a Pool of at most workers goroutines; 0 means one for each
// processor that Go may use.
func (t *Tokenizer) NewPool(workers int) *Pool {
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	return &Pool{t: t, encoders: make([]*Encoder, workers)}
}

// Encode gives the ids of each text to yield, in order: those of texts[i] in one
// call, of a long text in several, of one without ids in none. They are valid
// until yield returns. It fails only when ctx ends.
func (p *Pool) Encode(ctx context.Context, texts [][]byte, yield func(i int, ids []int32)) error {
	p.plan(texts)
	var next atomic.Int64
	work := func(e *Encoder) {
		for ctx.Err() == nil {
			k := int(next.Add(1)) - 1
			if k >= len(p.jobs) {
				return
			}
			p.jobs[k].run(e, texts)
		}
	}
	var group sync.WaitGroup
	for i := 1; i < min(len(p.encoders), len(p.jobs)); i++ {
		group.Go(func() { work(p.encoder(i)) })
	}
	work(p.encoder(0))
	group.Wait()
	for k := range p.jobs {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		j := &p.jobs[k]
		if j.long(texts) {
			p.encoders[0].Each(texts[j.from], func(ids []int32) { yield(j.from, ids) })
			continue
		}
		begin := 0
		for i, end := range j.ends {
			if end > begin {
				yield(j.from+i, j.ids[begin:end])
			}
			begin = end
		}
	}
	return nil
}

// encoder returns the encoder of a goroutine.
func (p *Pool) encoder(i int) *Encoder {
	if p.encoders[i] == nil {
		p.encoders[i] = p.t.NewEncoder()
	}
	return p.encoders[i]
}

// plan cuts texts into jobs. Those of earlier calls lend their memory.
func (p *Pool) plan(texts [][]byte) {
	jobs := p.jobs[:0]
	for i := 0; i < len(texts); {
		var j job
		if len(jobs) < cap(jobs) {
			j = jobs[:len(jobs)+1][len(jobs)]
		}
		j.from, j.to = i, i+1
		for size := len(texts[i]); size < jobBytes && j.to < len(texts) && len(texts[j.to]) < longText; j.to++ {
			size += len(texts[j.to])
		}
		i = j.to
		jobs = append(jobs, j)
	}
	p.jobs = jobs
}

func (j *job) long(texts [][]byte) bool { return len(texts[j.from]) >= longText }

// run encodes the texts of a job, unless it is a long one.
func (j *job) run(e *Encoder, texts [][]byte) {
	j.ids, j.ends = j.ids[:0], j.ends[:0]
	if j.long(texts) {
		return
	}
	for _, text := range texts[j.from:j.to] {
		j.ids = e.Append(j.ids, text)
		j.ends = append(j.ends, len(j.ids))
	}
}
