// Package stream is the selection of package ofds for pools that do not fit into
// memory: every object is looked at twice, one batch at a time, on any number of
// machines.
//
//	P1  Census     each machine counts the objects of each class and keeps a
//	               sample of them: those with the lowest hashes.
//	               The machines' censuses are merged.
//	P2  Codebook   per class, k-means on the sample: more clusters than images
//	               are asked for.
//	P3  Tally      each machine assigns its objects to the clusters and keeps, per
//	               cluster, the number and the sum of its vectors and the images
//	               nearest to its centroid, and of these images every (class, cluster)
//	               that is in them. The machines' tallies are merged.
//	P4  Choose     in memory: the rule of package ofds over the tree of clusters,
//	               which is cut lower until enough of them have nothing covered.
//
// What merges does so exactly: any division of the pool, merged in any order,
// gives the bytes of one machine that saw all. Hashes decide samples, sums are
// in integers, and ties go by names.
package stream
