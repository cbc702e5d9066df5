// Package train makes CoLoR-Filter's two auxiliary models: the prior, trained
// on a random part of the corpus, and the conditional, the prior fine-tuned for
// one epoch on the target (arXiv 2406.10670, section 2 and Table 10; the values
// that the paper leaves out are those of its code, color-filter-olmo).
//
// Terms:
//
//   - row: a document of the corpus. Its tokens are followed by the model's
//     end-of-text token.
//   - sequence: SequenceLength consecutive tokens of all drawn rows, joined in
//     corpus order; the tail is dropped. Nothing is masked: attention and loss
//     run across document borders, as in the paper.
//   - step: one update on BatchSize sequences. Steps count from 1.
//   - held out: rows, chosen by hash, that no step sees; their mean loss is the
//     held-out loss.
//
// One run:
//
//  1. The corpus is tokenised once into a flat file of ids. Which rows are used
//     is a hash of (seed, shard, row).
//  2. Each epoch visits the sequences in a new pseudo-random order. A step is
//     one compiled graph: loss, gradient, clipping, AdamW. Weights and moments
//     stay on the device.
//  3. Every step adds a line to train.jsonl. Checkpoints are written to a
//     folder beside the log and resume to the same bytes.
//  4. The model folder is published, then train.json, which says that the run
//     is done; the working files are removed.
package train
