// Package images reads the rows of shards as images with labelled objects, and
// keeps the vectors that curate computes of them.
//
// Terms:
//
//   - Row: a record of a shard: a row of Parquet or Arrow, a line of JSONL, a
//     sample of a tar.
//   - Form: how rows say what is in an image. Nested: a list of objects. Lists: an
//     object of lists, one for each property, as on the Hugging Face Hub. Flat: one
//     row for each object, those of an image one after the other.
//   - Vector sidecar: a Parquet file of one work unit, in the nested form, with the
//     vectors of an encoder and without the images.
package images
