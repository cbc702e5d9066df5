package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// hues is the number of colors that ofds.css has for methods. Further methods
// begin again with them, and with another dash.
const hues = 10

// coverageView is one small chart: a figure by budget, a line for each method.
type coverageView struct {
	ID, Name, Meaning string
	Better            string // "higher is better"
	Description       string
	XLabel, YLabel    string
	X, Y              []tick
	Height, Bottom    coord
	Band              string // path data: twice the standard error around the first method
	Lines             []lineView
	Budgets           []string
	Table             []lineRow
}

// lineView is one method's line.
type lineView struct {
	Name, Class string
	Path        string
	Dots        []heldDot
}

// lineRow is one method in the table that stands for the chart.
type lineRow struct {
	Name  string
	Cells []string
}

// legendEntry is one method with its color.
type legendEntry struct{ Name, Class, Failed string }

func newCoverageView(c CoverageChart, id, unit string, class map[string]string) *coverageView {
	low, high, budgets := coverageRange(c.Series)
	if len(budgets) == 0 {
		return nil
	}
	v := &coverageView{ID: id, Name: name(c.Name, "(no name)"), Meaning: sentence(c.Meaning, ""),
		Better: "higher is better", XLabel: "budget in " + unit, Height: chartHeight, Bottom: chartHeight + 18}
	if c.Lower {
		v.Better = "lower is better"
	}
	scale := func(b int64) float64 { return float64(b) }
	if first, last := budgets[0], budgets[len(budgets)-1]; first > 0 && last >= 6*first {
		scale = func(b int64) float64 { return math.Log(float64(b)) }
	}
	x := across(scale(budgets[0]), scale(budgets[len(budgets)-1]))
	box := axis{x.low, x.high, 0, boxWidth}
	y := down(low, high, chartHeight)
	v.Y = y.ticks(5, real)
	v.X = budgetTicks(budgets, func(b int64) coord { return x.at(scale(b)) })
	for _, b := range budgets {
		v.Budgets = append(v.Budgets, count(b))
	}
	for i, s := range c.Series {
		points := good(s.Points)
		at := func(p BudgetPoint, value float64) string {
			return fmt.Sprintf("%v %v", box.at(scale(p.Budget)), y.at(min(max(value, low), high)))
		}
		line := lineView{Name: name(s.Name, "(no name)"), Class: class[s.Name]}
		for j, p := range points {
			line.Path += "ML"[min(j, 1):min(j, 1)+1] + at(p, p.Mean)
			line.Dots = append(line.Dots, heldDot{x.at(scale(p.Budget)), y.at(p.Mean),
				fmt.Sprintf("%s, %s %s: %s", line.Name, count(p.Budget), unit, withError(p))})
		}
		if i == 0 {
			v.Band = band(points, at)
			v.Description = describe(v.Name, line.Name, unit, points)
		}
		v.Lines = append(v.Lines, line)
		v.Table = append(v.Table, newLineRow(line.Name, points, budgets))
	}
	slices.Reverse(v.Lines) // the first is drawn on top
	return v
}

// good leaves out points that cannot be drawn.
func good(points []BudgetPoint) []BudgetPoint {
	return slices.DeleteFunc(slices.Clone(points), func(p BudgetPoint) bool {
		return !finite(p.Mean) || math.Abs(p.Mean) > 1e15 || p.Budget < 0
	})
}

// coverageRange returns the range of values with some air, and all budgets.
func coverageRange(series []Series) (low, high float64, budgets []int64) {
	low, high = math.Inf(1), math.Inf(-1)
	for i, s := range series {
		for _, p := range good(s.Points) {
			spread := 0.0
			if i == 0 && p.Error > 0 && finite(p.Error) {
				spread = min(2*p.Error, math.Abs(p.Mean)+1) // a wild error does not flatten the lines
			}
			low, high = min(low, p.Mean-spread), max(high, p.Mean+spread)
			budgets = append(budgets, p.Budget)
		}
	}
	slices.Sort(budgets)
	budgets = slices.Compact(budgets)
	if len(budgets) == 0 {
		return 0, 1, nil
	}
	top := high
	air := max((high-low)*0.06, 0.01)
	low, high = max(low-air, min(low, 0)), high+air
	if top <= 1 && high > 1 {
		high = 1 // of a share
	}
	if high <= low {
		low = high - 0.1
	}
	return low, high, budgets
}

// budgetTicks labels the budgets, leaving out those that stand too close.
func budgetTicks(budgets []int64, at func(int64) coord) []tick {
	const apart = 9 // percent
	var ticks []tick
	for i := len(budgets) - 1; i >= 0; i-- {
		x := at(budgets[i])
		if n := len(ticks); n > 0 && ticks[n-1].At-x < apart {
			continue
		}
		ticks = append(ticks, tick{x, compact(float64(budgets[i]))})
	}
	slices.Reverse(ticks)
	return ticks
}

// band is the area of twice the standard error on both sides of a line.
func band(points []BudgetPoint, at func(BudgetPoint, float64) string) string {
	var there, back []string
	for _, p := range points {
		if !(p.Error > 0) || math.IsInf(p.Error, 0) {
			continue
		}
		there = append(there, at(p, p.Mean+2*p.Error))
		back = append(back, at(p, p.Mean-2*p.Error))
	}
	if len(there) < 2 {
		return ""
	}
	slices.Reverse(back)
	return "M" + strings.Join(append(there, back...), "L") + "Z"
}

func describe(figure, method, unit string, points []BudgetPoint) string {
	if len(points) == 0 {
		return figure + " by budget."
	}
	first, last := points[0], points[len(points)-1]
	return fmt.Sprintf("%s by budget. %s: %s at %s %s, %s at %s.", figure, method,
		withError(first), count(first.Budget), unit, withError(last), count(last.Budget))
}

func newLineRow(method string, points []BudgetPoint, budgets []int64) lineRow {
	row := lineRow{Name: method, Cells: make([]string, len(budgets))}
	for i := range row.Cells {
		row.Cells[i] = fixed(math.NaN(), 0)
	}
	for _, p := range points {
		if i, ok := slices.BinarySearch(budgets, p.Budget); ok {
			row.Cells[i] = withError(p)
		}
	}
	return row
}

// withError writes a mean with its standard error.
func withError(p BudgetPoint) string {
	s := fixed(p.Mean, 3)
	if p.Error > 0 && finite(p.Error) {
		s += " ± " + fixed(p.Error, 3)
	}
	return s
}

// legend gives every method of the charts a color, the same in all of them.
func legend(charts []CoverageChart) ([]legendEntry, map[string]string) {
	var entries []legendEntry
	class := make(map[string]string)
	for _, c := range charts {
		for _, s := range c.Series {
			if _, known := class[s.Name]; !known {
				n := len(entries)
				class[s.Name] = fmt.Sprintf("s%d", n%hues)
				if n >= hues {
					class[s.Name] += " again"
				}
				entries = append(entries, legendEntry{Name: name(s.Name, "(no name)"), Class: class[s.Name]})
			}
			for i := range entries {
				if s.Failed != "" && entries[i].Class == class[s.Name] && entries[i].Name == name(s.Name, "(no name)") {
					entries[i].Failed = sentence(s.Failed, "")
				}
			}
		}
	}
	return entries, class
}
