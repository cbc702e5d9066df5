// Package scoring turns text into losses: it tokenises batches, cuts documents
// into windows (or the shard's token stream into sequences), runs all auxiliary
// models on the same device batches and returns pipeline.Scores.
//
// Loss of a document or sequence: the mean over its next-token positions of
// -ln p(token | tokens before it in the window), in nats, computed in float32
// with float64 sums over windows (CoLoR-Filter, arXiv 2406.10670, section 2).
package scoring
