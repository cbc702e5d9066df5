// Package shards reads corpora and keeps what curate makes of them: inputs in
// Parquet, JSONL and Arrow IPC as pipeline batches; score sidecars, selections
// and manifests; and, under a Store, the rule that an object is at its name
// only when it is whole.
//
// Terms:
//
//   - Store: a folder or bucket prefix with flat, slash-separated names.
//   - Input: one object of a Store that is a shard of the corpus.
//   - Shard: an opened Input. Its rows are grouped: a row group of Parquet, a
//     record batch of an Arrow file, everything for formats that cannot seek.
//   - Batch: a run of rows of one row group, of bounded size.
//
// Files are not trusted. Lengths and ranges are checked before they are used,
// panics of decoding libraries become errors at the border of this package,
// and the rows read are counted against what the file's footer promises.
package shards
