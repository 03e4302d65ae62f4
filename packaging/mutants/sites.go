package main

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// site is one break of one place. Its ID is made from what the place says, not from where it stands, so that it
// outlives edits elsewhere.
type site struct {
	ID, Package, File, Func, Operator, Text string
	Line, Column                            int

	path        string
	from, to    int // offsets in the file
	replacement string
	form        form
}

// sites are all breaks of the packages drawn from, whose paths below the module begin with one of prefixes, if any.
func (m *module) sites(prefixes []string) ([]site, error) {
	var all []site
	for _, p := range m.packages {
		inside := strings.TrimPrefix(p.ImportPath, "skein/")
		if !drawnFrom(p.ImportPath) || len(prefixes) > 0 && !slices.ContainsFunc(prefixes, func(prefix string) bool {
			return strings.HasPrefix(inside, strings.TrimPrefix(prefix, "./"))
		}) {
			continue
		}
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			source, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			found, err := sitesOf(inside, path, source)
			if err != nil {
				return nil, err
			}
			for i := range found {
				found[i].File = inside + "/" + name
			}
			all = append(all, found...)
		}
	}
	number(all)
	return all, nil
}

// sitesOf are all breaks of one file.
func sitesOf(pkg, path string, source []byte) ([]site, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	if ast.IsGenerated(file) {
		return nil, nil
	}
	offset := func(p token.Pos) int { return set.Position(p).Offset }
	text := func(n ast.Node) string { return string(source[offset(n.Pos()):offset(n.End())]) }
	var found []site
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		for _, e := range edits(f, text) {
			at := set.Position(e.from)
			found = append(found, site{
				Package: pkg, Func: receiver(f), Operator: e.operator, Text: brief(string(source[at.Offset:offset(e.to)])),
				Line: at.Line, Column: at.Column,
				path: path, from: at.Offset, to: offset(e.to), replacement: e.replacement, form: e.form,
			})
		}
	}
	return found, nil
}

// brief is a text's beginning in one line.
func brief(text string) string {
	words := strings.Join(strings.Fields(text), " ")
	if r := []rune(words); len(r) > 80 {
		return string(r[:80])
	}
	return words
}

// number gives each site its ID: what it says, and which of those that say the same it is.
func number(sites []site) {
	times := map[string]int{}
	for i := range sites {
		s := &sites[i]
		says := strings.Join([]string{s.Package, s.Func, s.Operator, s.Text}, "\x00")
		times[says]++
		s.ID = fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", says, times[says])))[:8]
	}
}

// on is the question whether the break of the site is on, in the program's text.
func (s site) on() string { return "skeinOn(0x" + s.ID + ")" }

// mark stands before each switch, for errors of the compiler.
const mark = "/*skein:"

// switched is a piece of source with the breaks of sites in it, each with its switch. A break that holds others holds
// them in what it is when it is off. Sites are in the order of the source, outer ones first.
func switched(source string, from, to int, sites []site) string {
	var out strings.Builder
	at := from
	for len(sites) > 0 {
		s := sites[0]
		held := 1
		for held < len(sites) && sites[held].from < s.to {
			held++
		}
		out.WriteString(source[at:s.from])
		piece := switched(source, s.from, s.to, sites[1:held])
		out.WriteString(mark + s.ID + "*/" + fmt.Sprintf(string(s.form), s.on(), s.replacement, piece))
		at, sites = s.to, sites[held:]
	}
	out.WriteString(source[at:to])
	return out.String()
}

// order puts sites of one file in the order that switched wants.
func order(sites []site) {
	slices.SortFunc(sites, func(a, b site) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to)) })
}

// draw takes count sites by seed: lines first, all alike, then one site of each line. Whether a site is drawn depends
// on what it says and the seed alone, so edits change a draw only where they are. Sites that usable refuses are passed
// over, equivalents too, and these are told.
func draw(sites []site, seed uint64, count int, equal equivalents, usable func(site) bool) (drawn, skipped []site) {
	type line struct {
		rank uint64
		of   []site
	}
	byPlace := map[string]*line{}
	var lines []*line
	for _, s := range sites {
		place := fmt.Sprintf("%s:%d", s.File, s.Line)
		l := byPlace[place]
		if l == nil {
			l = &line{rank: rank(seed, "line", s.ID)}
			byPlace[place] = l
			lines = append(lines, l)
		}
		l.of = append(l.of, s)
	}
	slices.SortStableFunc(lines, func(a, b *line) int { return cmp.Compare(a.rank, b.rank) })
	for _, l := range lines {
		if len(drawn) == count {
			break
		}
		slices.SortStableFunc(l.of, func(a, b site) int { return cmp.Compare(rank(seed, a.ID), rank(seed, b.ID)) })
		i := slices.IndexFunc(l.of, usable)
		switch {
		case i < 0:
		case equal.contains(l.of[i]):
			skipped = append(skipped, l.of[i])
		default:
			drawn = append(drawn, l.of[i])
		}
	}
	return drawn, skipped
}

func rank(seed uint64, words ...string) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %q", seed, words))
	return binary.BigEndian.Uint64(sum[:8])
}

// equivalents are breaks that change nothing that anybody can see, each by its package, function, operator and text.
type equivalents map[[4]string]bool

func (e equivalents) contains(s site) bool {
	return e[[4]string{s.Package, s.Func, s.Operator, s.Text}]
}

// readEquivalents reads lines of package, function, operator, text and reason with tabs between. A line without a
// reason is an error.
func readEquivalents(path string) (equivalents, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	e := equivalents{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		if lines.Text() == "" || strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) != 5 || fields[4] == "" {
			return nil, fmt.Errorf("%s:%d: want package, function, operator, text and reason with tabs between", path, n)
		}
		e[[4]string(fields[:4])] = true
	}
	return e, lines.Err()
}
