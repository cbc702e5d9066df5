package shards

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"
)

// perSecond is the number of units in a second, by Arrow's number of the unit.
func perSecond(unit int16) int64 {
	return [...]int64{1, 1e3, 1e6, 1e9}[unit&3]
}

// jsonTime returns what appends dates, times, timestamps and intervals.
func (c *outColumn) jsonTime() jsonAppender {
	f := c.field
	switch f.kind {
	case kindDate:
		if f.unit == unitDay {
			return func(to []byte, i int) ([]byte, error) {
				return append(appendDay(append(to, '"'), c.signed(i)), '"'), nil
			}
		}
		return func(to []byte, i int) ([]byte, error) {
			const day = 86400e3
			v := c.signed(i)
			if v%day != 0 {
				return nil, fmt.Errorf("%w: a date of %d ms, which is not a whole day: write Arrow", ErrUnsupported, v)
			}
			return append(appendDay(append(to, '"'), v/day), '"'), nil
		}
	case kindTime:
		return func(to []byte, i int) ([]byte, error) {
			v, per := c.signed(i), perSecond(f.unit)
			if v < 0 || v >= 86400*per {
				return nil, fmt.Errorf("%w: a time of day of %d, where a day has %d", ErrUnsupported, v, 86400*per)
			}
			return append(appendClock(append(to, '"'), v/per, v%per, f.unit), '"'), nil
		}
	case kindTimestamp:
		return func(to []byte, i int) ([]byte, error) {
			v, per := c.signed(i), perSecond(f.unit)
			seconds, part := v/per, v%per
			if part < 0 {
				seconds, part = seconds-1, part+per
			}
			day := seconds / 86400
			if seconds%86400 < 0 {
				day--
			}
			to = append(appendDay(append(to, '"'), day), 'T')
			to = appendClock(to, seconds-86400*day, part, f.unit)
			if f.zone != "" {
				to = append(to, 'Z')
			}
			return append(to, '"'), nil
		}
	}
	return c.jsonInterval
}

// appendDay appends a day since 1970, as ISO 8601 does: years beyond four
// digits have a sign.
func appendDay(to []byte, day int64) []byte {
	// The calendar repeats every 400 years, and time.Time does not reach as far
	// as timestamps of seconds do.
	const cycle = 146097
	cycles := day / cycle
	t := time.Unix((day-cycles*cycle)*86400, 0).UTC()
	year := int64(t.Year()) + 400*cycles
	switch {
	case year < 0:
		to = append(to, '-')
		year = -year
	case year > 9999:
		to = append(to, '+')
	}
	to = appendDigits(to, year, 4)
	to = appendDigits(append(to, '-'), int64(t.Month()), 2)
	return appendDigits(append(to, '-'), int64(t.Day()), 2)
}

// appendClock appends a time of day with as many digits as the unit has.
func appendClock(to []byte, seconds, part int64, unit int16) []byte {
	to = appendDigits(to, seconds/3600, 2)
	to = appendDigits(append(to, ':'), seconds/60%60, 2)
	to = appendDigits(append(to, ':'), seconds%60, 2)
	if unit == unitSecond {
		return to
	}
	return appendDigits(append(to, '.'), part, 3*int(unit))
}

// appendDigits appends a number that is not negative with at least n digits.
func appendDigits(to []byte, v int64, n int) []byte {
	digits := strconv.AppendInt(make([]byte, 0, 20), v, 10)
	for range n - len(digits) {
		to = append(to, '0')
	}
	return append(to, digits...)
}

// jsonInterval appends an interval: months, or an object of its parts.
func (c *outColumn) jsonInterval(to []byte, i int) ([]byte, error) {
	b := c.raw(i)
	word := func(k int) int64 { return int64(int32(binary.LittleEndian.Uint32(b[4*k:]))) }
	switch c.field.unit {
	case unitYearMonth:
		return strconv.AppendInt(to, word(0), 10), nil
	case unitDayTime:
		return fmt.Appendf(to, `{"days":%d,"milliseconds":%d}`, word(0), word(1)), nil
	}
	return fmt.Appendf(to, `{"months":%d,"days":%d,"nanoseconds":%d}`, word(0), word(1), int64(binary.LittleEndian.Uint64(b[8:]))), nil
}
