package shards

// KeptRun is a run of the kept rows of one input.
type KeptRun struct {
	Input    int
	From, To int64 // as in CopyPart
	Last     bool
}

// AssignKept deals kept rows, of which each input has a number, to n outputs: each
// gets a run of inputs in their order, all as many rows but for one. Every input
// is dealt as a whole, also those of which nothing is kept.
func AssignKept(kept []int64, n int) [][]KeptRun {
	total := int64(0)
	for _, k := range kept {
		total += k
	}
	outputs := make([][]KeptRun, n)
	output, left := 0, int64(0) // rows that the output still takes
	quota := func(i int) int64 { return total/int64(n)*int64(i) + total%int64(n)*int64(i)/int64(n) }
	left = quota(1)
	for input, k := range kept {
		for from := int64(0); ; {
			for left == 0 && output < n-1 && from < k {
				output++
				left = quota(output+1) - quota(output)
			}
			to := min(k, from+left)
			outputs[output] = append(outputs[output], KeptRun{input, from, to, to == k})
			left -= to - from
			if from = to; from == k {
				break
			}
		}
	}
	return outputs
}
