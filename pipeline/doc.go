// Package pipeline holds the nouns of curate and the runner that moves batches
// between them. It imports Arrow and the standard library only; every other
// package of curate speaks in its terms, and siblings meet only through it.
//
// One batch through the house:
//
//  1. A Source turns row groups of a shard into Batches.
//  2. Run moves each Batch over bounded channels through the Stages.
//  3. A Sink stores what comes out and publishes it at Finish, all or nothing.
//  4. A selection method reads the Scores of all rows from a ScoreSource and
//     returns Decisions: for each row keep, or a typed Reason why not.
package pipeline
