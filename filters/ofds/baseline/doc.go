// Package baseline holds the methods that OFDS is compared with, each of them
// an ofds.Selector: random, class-balanced random, k-center, k-means on image
// vectors, TypiClust, ProbCover, FreeSel, ActiveFT, and FreeSel's draws on
// object vectors.
//
// What holds for all of them:
//   - They choose as many images as the budget says, each once, or all there are
//     with a warning. What a method cannot spend goes to random images, with
//     ofds.Leftover as reason and a warning.
//   - The choice depends on pool, budget, seed and options. It does not depend
//     on workers. Images are told apart by ID: draws are hashes of (seed, ID) or
//     come from a PCG that the seed starts, and ties go to the lower index, which
//     is the lower ID, because a pool is sorted by ID.
//   - A product of matrices that is off by rounding does not change the choice:
//     what it can't tell apart is computed again in float64 (see distance.go).
//   - Preselected images are never chosen. Methods that look at what is chosen
//     already begin with them.
//   - Memory beside the pool is proportional to the number of images or objects,
//     and never to a square of it. Methods that the literature runs on unit
//     vectors copy the vectors once if their lengths are not 1.
//
// Where the published code has a fault (a batch that is skipped, an image that
// is picked twice, an index out of range), the comment of the method says what
// is done instead.
package baseline
