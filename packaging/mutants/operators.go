package main

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
)

// The operators: how a rule is broken.
const (
	negate      = "negate condition"
	dropGuard   = "drop guard"
	boundary    = "move boundary"
	reverse     = "reverse order"
	connective  = "swap and, or"
	dropOperand = "drop operand"
	offByOne    = "off by one"
	plusMinus   = "plus for minus"
	drop        = "drop statement"
	dropAppend  = "drop append"
	dropDefer   = "drop defer"
	loseError   = "lose error"
	returnEarly = "return early"
	flip        = "flip true, false"
	minMax      = "swap min, max"
	skipCase    = "skip case"
	stopLoop    = "break for continue"
)

// ordered are words of what has an order that must not be crossed: who is newer wins.
var ordered = regexp.MustCompile(
	`(?i)epoch|index|term\b|generation|revision|nonce|version|format|seq|since|until|deadline`)

// tending are calls whose loss no rule of Skein is about: locks (the race detector's), logs, and the release of what
// the end of the program releases.
var tending = regexp.MustCompile(`(^|\.)(Lock|Unlock|RLock|RUnlock|Close|Stop|Done|cancel|stop|panic|print|Helper)$` +
	`|(^|\.)([lL]og|[lL]ogger|slog|calm|warn)(\.|$)|\.(Debug|Info|Warn|Error|Log)(Context)?$|^prometheus\.`)

// edit is how a piece of a file is broken: by what replaces it, and how both may stand in one program.
type edit struct {
	operator    string
	from, to    token.Pos
	replacement string
	form        form
}

// form is how a switch between a piece of a program and its replacement is written. The first %s is the question
// whether the break is on, the second what replaces the piece, the third the piece.
type form string

const (
	condition form = "(%[1]s && (%[2]s) || !%[1]s && (%[3]s))"
	value     form = "skeinPick(%[1]s, %[2]s, %[3]s)"
	failing   form = "func(e error) error { if %[1]s { return %[2]s }; return e }(%[3]s)"
	dropped   form = "if !%[1]s { %[2]s%[3]s }"
	before    form = "if %[1]s { %[2]s }; %[3]s"
)

// edits are all ways to break one function.
func edits(f *ast.FuncDecl, text func(ast.Node) string) []edit {
	e := &editor{text: text, inside: map[ast.Node]bool{}}
	e.early(f)
	e.walk(f.Body, f.Type)
	return e.found
}

type editor struct {
	text   func(ast.Node) string
	inside map[ast.Node]bool // statements that are part of another: nothing can be put around them
	found  []edit
}

func (e *editor) add(operator string, n ast.Node, f form, replacement string) {
	e.found = append(e.found, edit{operator, n.Pos(), n.End(), replacement, f})
}

// early returns before the last thing that the function does, with what its results are by then or zero.
func (e *editor) early(f *ast.FuncDecl) {
	back := "return"
	if results := f.Type.Results; results != nil && len(results.List) > 0 && len(results.List[0].Names) == 0 {
		var zeros []string
		for _, r := range results.List {
			zeros = append(zeros, "*new("+e.text(r.Type)+")")
		}
		back += " " + strings.Join(zeros, ", ")
	}
	for i := len(f.Body.List) - 1; i > 0; i-- {
		stmt := f.Body.List[i]
		if _, returns := stmt.(*ast.ReturnStmt); returns {
			continue
		}
		if call, ok := stmt.(*ast.ExprStmt); !ok || !tending.MatchString(strings.TrimSuffix(e.text(call), "()")) {
			e.add(returnEarly, stmt, before, back)
		}
		return
	}
}

// walk goes through the body of a function; a function literal in it has results of its own.
func (e *editor) walk(body ast.Node, fn *ast.FuncType) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			e.walk(n.Body, n.Type)
			return false
		case *ast.IfStmt:
			e.inside[n.Init] = true
			e.condition(n)
		case *ast.ForStmt:
			e.inside[n.Init], e.inside[n.Post] = true, true
		case *ast.SwitchStmt:
			e.inside[n.Init] = true
		case *ast.TypeSwitchStmt:
			e.inside[n.Init] = true
		case *ast.BinaryExpr:
			e.binary(n)
		case *ast.SliceExpr:
			e.bound(n.Low)
			e.bound(n.High)
		case *ast.ReturnStmt:
			e.returned(n, fn)
		case *ast.AssignStmt:
			e.assigned(n)
		case *ast.KeyValueExpr:
			e.truth(n.Value)
		case *ast.IncDecStmt, *ast.SendStmt:
			e.drop(drop, n.(ast.Stmt))
		case *ast.ExprStmt:
			if call, ok := n.X.(*ast.CallExpr); ok && !tending.MatchString(e.text(call.Fun)) {
				e.drop(drop, n)
			}
		case *ast.DeferStmt:
			if !tending.MatchString(e.text(n.Call.Fun)) {
				e.drop(dropDefer, n)
			}
		case *ast.CallExpr:
			e.minMax(n)
		case *ast.CaseClause:
			if n.List != nil {
				e.skip(n.Body)
			}
		case *ast.CommClause:
			e.inside[n.Comm] = true
			e.skip(n.Body)
		case *ast.BranchStmt:
			if n.Tok == token.CONTINUE && n.Label == nil {
				e.add(stopLoop, n, before, "break")
			}
		}
		return true
	})
}

// condition breaks an if. To negate the test of an error breaks all at once, which any test sees: only that the error
// passes is a break worth counting.
func (e *editor) condition(n *ast.IfStmt) {
	cond := e.text(n.Cond)
	if leaves(n.Body) {
		e.add(dropGuard, n.Cond, condition, "false && ("+cond+")")
	}
	if cond != "err != nil" {
		e.add(negate, n.Cond, condition, "!("+cond+")")
	}
}

func leaves(body *ast.BlockStmt) bool {
	if len(body.List) == 0 {
		return false
	}
	switch body.List[len(body.List)-1].(type) {
	case *ast.ReturnStmt, *ast.BranchStmt:
		return true
	}
	return false
}

var (
	moved    = map[token.Token]string{token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">"}
	reversed = map[token.Token]string{
		token.LSS: ">", token.LEQ: ">=", token.GTR: "<", token.GEQ: "<=", token.EQL: ">=", token.NEQ: ">",
	}
)

func (e *editor) binary(n *ast.BinaryExpr) {
	x, y := e.text(n.X), e.text(n.Y)
	if op, ok := moved[n.Op]; ok {
		e.add(boundary, n, condition, x+" "+op+" "+y)
	}
	if op, ok := reversed[n.Op]; ok && y != "nil" && (ordered.MatchString(x) || ordered.MatchString(y)) {
		e.add(reverse, n, condition, x+" "+op+" "+y)
	}
	switch n.Op {
	case token.LAND:
		e.add(connective, n, condition, x+" || "+y)
		e.add(dropOperand, n, condition, x)
	case token.LOR:
		e.add(connective, n, condition, "("+x+") && ("+y+")")
		e.add(dropOperand, n, condition, x)
	case token.SUB:
		e.add(plusMinus, n, value, x+" + "+y)
	default: // no operator of ours
	}
	if next, ok := oneMore(n.Y); ok {
		f := value
		if _, compares := reversed[n.Op]; compares {
			f = condition
		}
		e.add(offByOne, n, f, x+" "+n.Op.String()+" "+next)
	}
}

func (e *editor) bound(x ast.Expr) {
	if next, ok := oneMore(x); ok {
		e.add(offByOne, x, value, next)
	}
}

// oneMore is the number after an integer literal.
func oneMore(x ast.Expr) (next string, ok bool) {
	lit, ok := x.(*ast.BasicLit)
	if !ok || lit.Kind != token.INT {
		return "", false
	}
	v, err := strconv.ParseInt(lit.Value, 10, 32)
	return strconv.FormatInt(v+1, 10), err == nil
}

func (e *editor) returned(n *ast.ReturnStmt, fn *ast.FuncType) {
	for _, one := range n.Results {
		e.truth(one)
	}
	if fn.Results == nil || len(n.Results) != fn.Results.NumFields() {
		return
	}
	last := fn.Results.List[len(fn.Results.List)-1]
	result := n.Results[len(n.Results)-1]
	if e.text(last.Type) == "error" && e.text(result) != "nil" {
		e.add(loseError, result, failing, "nil")
	}
}

func (e *editor) assigned(n *ast.AssignStmt) {
	for _, one := range n.Rhs {
		e.truth(one)
	}
	if n.Tok == token.DEFINE || e.text(n.Lhs[0]) == "_" {
		return
	}
	if len(n.Rhs) == 1 && strings.HasPrefix(e.text(n.Rhs[0]), "append(") {
		e.drop(dropAppend, n)
		return
	}
	e.drop(drop, n)
}

func (e *editor) drop(operator string, n ast.Stmt) {
	if !e.inside[n] {
		e.add(operator, n, dropped, "")
	}
}

func (e *editor) truth(x ast.Expr) {
	switch e.text(x) {
	case "true":
		e.add(flip, x, condition, "false")
	case "false":
		e.add(flip, x, condition, "true")
	}
}

func (e *editor) minMax(n *ast.CallExpr) {
	name := e.text(n.Fun)
	if other, ok := map[string]string{"min": "max", "max": "min"}[name]; ok {
		e.add(minMax, n, value, other+strings.TrimPrefix(e.text(n), name))
	}
}

func (e *editor) skip(body []ast.Stmt) {
	if len(body) > 0 {
		e.found = append(e.found, edit{skipCase, body[0].Pos(), body[len(body)-1].End(), "", dropped})
	}
}

// receiver names a function as its readers do: Type.Method or name.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return f.Name.Name
	}
	typ := f.Recv.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.IndexListExpr:
			typ = t.X
		case *ast.Ident:
			return t.Name + "." + f.Name.Name
		default:
			return f.Name.Name
		}
	}
}
