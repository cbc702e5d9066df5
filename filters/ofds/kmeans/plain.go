package kmeans

// Plain returns the Product in plain Go, which nil stands for, to those who
// multiply matrices themselves.
func Plain() Product { return plain{} }
