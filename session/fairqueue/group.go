package fairqueue

import "slices"

// group is the logins of one network, or those of one app, whose parts are its networks, or
// all, whose parts are the apps. A group has at most a few thousand parts, because each has
// at least one login, so lists are searched from end to end.
type group struct {
	name  string
	bytes int      // that its logins without slots count as
	parts []*group // with such logins, in the order in which they came
	turns []*group // parts with a login in line, in the order of their turns

	// Of a network.
	places []*Place // without slots, in the order in which they entered
	line   []*Place // those that wait, in order
}

// part returns the part with a name. If there is none, part adds it or returns nil.
func (g *group) part(name string, add bool) *group {
	i := slices.IndexFunc(g.parts, func(p *group) bool { return p.name == name })
	if i >= 0 {
		return g.parts[i]
	}
	if !add {
		return nil
	}
	p := &group{name: name}
	g.parts = append(g.parts, p)
	return p
}

// size returns the bytes of a group, which may be nil.
func (g *group) size() int {
	if g == nil {
		return 0
	}
	return g.bytes
}

// largest returns the part with the most bytes, of several the one that came last, or nil if
// there are no parts.
func (g *group) largest() (most *group) {
	for _, p := range g.parts {
		if p.bytes >= most.size() {
			most = p
		}
	}
	return most
}

// newest returns the newest login without slots of the largest part of the largest part.
func (g *group) newest() *Place {
	for len(g.parts) > 0 {
		g = g.largest()
	}
	return g.places[len(g.places)-1]
}

// first returns the login whose turn it is, or nil if none waits.
func (g *group) first() *Place {
	for len(g.turns) > 0 {
		g = g.turns[0]
	}
	if len(g.line) == 0 {
		return nil
	}
	return g.line[0]
}

// join gives a part, in which a login begins to wait, a turn after those of the others,
// unless it has one.
func (g *group) join(part *group) {
	if !slices.Contains(g.turns, part) {
		g.turns = append(g.turns, part)
	}
}

// pass removes a part from the turns unless more of its logins wait. If it was its turn, the
// next one comes after those of the others.
func (g *group) pass(part *group, turn, more bool) {
	if turn || !more {
		g.turns = without(g.turns, part)
	}
	if turn && more {
		g.turns = append(g.turns, part)
	}
}
