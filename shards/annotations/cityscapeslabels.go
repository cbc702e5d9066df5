package annotations

import "strings"

// cityLabel is a row of the labels table of cityscapesScripts.
type cityLabel struct {
	name      string
	trainID   int // 255 and -1: not a class that is trained or evaluated
	instances bool
}

// cityLabels is the table, in its order.
var cityLabels = []cityLabel{
	{"unlabeled", 255, false}, {"ego vehicle", 255, false}, {"rectification border", 255, false}, {"out of roi", 255, false},
	{"static", 255, false}, {"dynamic", 255, false}, {"ground", 255, false}, {"road", 0, false}, {"sidewalk", 1, false},
	{"parking", 255, false}, {"rail track", 255, false}, {"building", 2, false}, {"wall", 3, false}, {"fence", 4, false},
	{"guard rail", 255, false}, {"bridge", 255, false}, {"tunnel", 255, false}, {"pole", 5, false}, {"polegroup", 255, false},
	{"traffic light", 6, false}, {"traffic sign", 7, false}, {"vegetation", 8, false}, {"terrain", 9, false}, {"sky", 10, false},
	{"person", 11, true}, {"rider", 12, true}, {"car", 13, true}, {"truck", 14, true}, {"bus", 15, true},
	{"caravan", 255, true}, {"trailer", 255, true}, {"train", 16, true}, {"motorcycle", 17, true}, {"bicycle", 18, true},
	{"license plate", -1, false},
}

func (l cityLabel) trained() bool { return l.trainID >= 0 && l.trainID < 255 }

// cityLabelOf finds a label in the table. A label that is not in it and ends in
// "group" stands for several objects that run into each other (polegroup is in it).
func cityLabelOf(name string) (label cityLabel, group, ok bool) {
	single, isGroup := strings.CutSuffix(name, "group")
	for _, l := range cityLabels {
		if l.name == name {
			return l, false, true
		}
		if isGroup && l.name == single {
			label, group, ok = l, true, true
		}
	}
	return label, group, ok
}
