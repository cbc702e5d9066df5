// Package sam2 makes vectors of images and of the objects in them with SAM2, the
// Segment Anything Model 2, from a model folder of transformers.
//
// Per image, once: the Hiera backbone and a feature pyramid (hiera.go) make the
// image embedding, C x g x g, 256 x 64 x 64 in the published models. Per object,
// a box: the prompt encoder (prompt.go) turns its corners into tokens, and the
// mask decoder (decoder.go) lets these and tokens of its own attend to the
// embedding. Of its several masks the one counts whose quality the model itself
// predicts to be the highest. An object's vector is that mask's token, projected
// (the object pointer, with which SAM2 follows an object through a video), or
// the embedding's mean over the mask. An image's vector is the embedding's mean.
//
// The maths is that of Sam2Model and, for the pointer, of Sam2VideoModel in
// transformers 5.24.0, to 1e-4: golden_test.go compares the two.
package sam2
