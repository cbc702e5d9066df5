package annotations

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	maxSide = 1 << 20 // pixels of an image's side; the largest scans have some 200,000
	maxID   = 1 << 10 // bytes of an id
)

// absent says that a JSON value is not there, or null.
func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// brief is a value for an error message.
func brief(raw json.RawMessage) string {
	if len(raw) > 60 {
		return strings.ToValidUTF8(string(raw[:60]), "") + "..."
	}
	return string(raw)
}

// idText returns the text of an id, which is a whole number or a string; 7, 7.0
// and "7" are one id.
func idText(raw json.RawMessage) (string, error) {
	if absent(raw) {
		return "", errors.New("no id")
	}
	if raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return "", err
		}
		if text == "" || len(text) > maxID {
			return "", fmt.Errorf("id %s: want 1 to %d bytes", brief(raw), maxID)
		}
		return text, nil
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return strconv.FormatInt(n, 10), nil
	}
	if x, err := strconv.ParseFloat(string(raw), 64); err == nil && x == math.Trunc(x) && math.Abs(x) <= 1<<53 {
		return strconv.FormatInt(int64(x), 10), nil
	}
	return "", fmt.Errorf("id %s: want a whole number of 64 bits or a string", brief(raw))
}

// number returns a JSON number.
func number(raw json.RawMessage) (float64, error) {
	x, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, fmt.Errorf("want a number, found %s", brief(raw))
	}
	return x, nil
}

// side returns a width or height in pixels, 0 where it is absent.
func side(raw json.RawMessage) (int, error) {
	if absent(raw) {
		return 0, nil
	}
	x, err := number(raw)
	if err != nil {
		return 0, err
	}
	return checkSide(x)
}

func checkSide(x float64) (int, error) {
	if x != math.Trunc(x) || x < 0 || x > maxSide {
		return 0, fmt.Errorf("%v is no number of pixels from 0 to %d", x, maxSide)
	}
	return int(x), nil
}

// flag returns a boolean that is written as 0 or 1, or true or false; false
// where it is absent.
func flag(raw json.RawMessage) (bool, error) {
	switch string(raw) {
	case "", "null", "0", "false", "0.0":
		return false, nil
	case "1", "true", "1.0":
		return true, nil
	}
	return false, fmt.Errorf("want 0 or 1, found %s", brief(raw))
}

// score returns a confidence from 0 to 1, 1 where it is absent.
func score(raw json.RawMessage) (float32, error) {
	if absent(raw) {
		return 1, nil
	}
	x, err := number(raw)
	if err != nil {
		return 0, err
	}
	return checkScore(x)
}

func checkScore(x float64) (float32, error) {
	if x < 0 || x > 1 {
		return 0, fmt.Errorf("%v is not from 0 to 1", x)
	}
	return float32(x), nil
}

// floats returns a list of numbers, which raw is known to be if it is a list at
// all: raw was parsed before.
func floats(raw json.RawMessage) ([]float32, error) {
	inner := strings.TrimSpace(string(raw))
	if len(inner) < 2 || inner[0] != '[' {
		return nil, fmt.Errorf("want a list of numbers, found %s", brief(raw))
	}
	inner = strings.TrimSpace(inner[1 : len(inner)-1])
	if inner == "" {
		return nil, nil
	}
	list := make([]float32, 0, strings.Count(inner, ",")+1)
	for part := range strings.SplitSeq(inner, ",") {
		x, err := number(json.RawMessage(strings.TrimSpace(part)))
		if err != nil {
			return nil, err
		}
		list = append(list, float32(x))
	}
	return list, nil
}

// text returns a JSON string, empty where it is absent.
func text(raw json.RawMessage) (string, error) {
	if absent(raw) {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", fmt.Errorf("want a string, found %s", brief(raw))
	}
	return s, nil
}
