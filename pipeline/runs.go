package pipeline

import (
	"errors"
	"fmt"
)

// UnpackRuns decodes COCO's compressed run lengths: numbers of 5 bits per
// character, lowest first, a sixth bit saying that more follow; from the fourth
// on, differences to the number before the last one.
func UnpackRuns(packed string) ([]uint32, error) {
	const groups = 7 // of 5 bits, for 33 bits with sign
	list := make([]uint32, 0, len(packed)/2+1)
	for at := 0; at < len(packed); {
		var x int64
		for k := 0; ; k++ {
			if at == len(packed) {
				return nil, errors.New("the string ends within a number")
			}
			c := int64(packed[at]) - 48
			if c < 0 || c > 63 {
				return nil, fmt.Errorf("character %d is %q, which stands for no number", at, packed[at])
			}
			if k == groups {
				return nil, fmt.Errorf("the number that ends at character %d has more than 32 bits", at)
			}
			at++
			x |= c & 0x1f << (5 * k)
			if c&0x20 == 0 {
				if c&0x10 != 0 {
					x |= -1 << (5 * (k + 1))
				}
				break
			}
		}
		if len(list) > 2 {
			x += int64(list[len(list)-2])
		}
		if x < 0 || x > 1<<32-1 {
			return nil, fmt.Errorf("run %d has %d pixels", len(list), x)
		}
		list = append(list, uint32(x))
	}
	return list, nil
}
