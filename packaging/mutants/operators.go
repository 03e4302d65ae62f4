package main

import (
	"fmt"
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

// edit is a replacement of a piece of a file.
type edit struct {
	operator    string
	from, to    token.Pos
	replacement string
}

// never is false in a way that leaves the compiler's rules about use and termination content.
const never = "func() bool { return false }()"

// edits are all ways to break one function.
func edits(f *ast.FuncDecl, text func(ast.Node) string) []edit {
	e := &editor{text: text}
	e.early(f)
	e.walk(f.Body, f.Type)
	return e.found
}

type editor struct {
	text  func(ast.Node) string
	found []edit
}

func (e *editor) add(operator string, n ast.Node, replacement string) {
	e.found = append(e.found, edit{operator, n.Pos(), n.End(), replacement})
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
			e.found = append(e.found, edit{returnEarly, stmt.Pos(), stmt.End(), back + "; " + e.text(stmt)})
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
			e.condition(n)
		case *ast.BinaryExpr:
			e.binary(n)
		case *ast.SliceExpr:
			e.constant(n.Low)
			e.constant(n.High)
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
			e.skip(n.Body)
		case *ast.BranchStmt:
			if n.Tok == token.CONTINUE && n.Label == nil {
				e.add(stopLoop, n, "break")
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
		e.add(dropGuard, n.Cond, "false && ("+cond+")")
	}
	if cond != "err != nil" {
		e.add(negate, n.Cond, "!("+cond+")")
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
		e.add(boundary, n, x+" "+op+" "+y)
	}
	if op, ok := reversed[n.Op]; ok && y != "nil" && (ordered.MatchString(x) || ordered.MatchString(y)) {
		e.add(reverse, n, x+" "+op+" "+y)
	}
	switch n.Op {
	case token.LAND:
		e.add(connective, n, "("+x+" || "+y+")")
		e.add(dropOperand, n, x+" && (true || "+y+")")
	case token.LOR:
		e.add(connective, n, "(("+x+") && ("+y+"))")
		e.add(dropOperand, n, "("+x+" || (false && ("+y+")))")
	case token.SUB:
		e.add(plusMinus, n, "("+x+" + "+y+")")
	default: // no operator of ours
	}
	e.constant(n.X)
	e.constant(n.Y)
}

func (e *editor) constant(x ast.Expr) {
	lit, ok := x.(*ast.BasicLit)
	if !ok || lit.Kind != token.INT {
		return
	}
	if v, err := strconv.ParseInt(lit.Value, 10, 32); err == nil {
		e.add(offByOne, lit, strconv.FormatInt(v+1, 10))
	}
}

func (e *editor) returned(n *ast.ReturnStmt, fn *ast.FuncType) {
	for _, result := range n.Results {
		e.truth(result)
	}
	if fn.Results == nil || len(n.Results) != fn.Results.NumFields() {
		return
	}
	last := fn.Results.List[len(fn.Results.List)-1]
	value := n.Results[len(n.Results)-1]
	if e.text(last.Type) == "error" && e.text(value) != "nil" {
		e.add(loseError, value, "func(error) error { return nil }("+e.text(value)+")")
	}
}

func (e *editor) assigned(n *ast.AssignStmt) {
	for _, value := range n.Rhs {
		e.truth(value)
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

// drop keeps the statement where the compiler sees it and nobody runs it.
func (e *editor) drop(operator string, n ast.Stmt) {
	e.add(operator, n, "_ = func() { "+e.text(n)+" }")
}

func (e *editor) truth(x ast.Expr) {
	switch e.text(x) {
	case "true":
		e.add(flip, x, "false")
	case "false":
		e.add(flip, x, "true")
	}
}

func (e *editor) minMax(n *ast.CallExpr) {
	switch e.text(n.Fun) {
	case "min":
		e.add(minMax, n.Fun, "max")
	case "max":
		e.add(minMax, n.Fun, "min")
	}
}

func (e *editor) skip(body []ast.Stmt) {
	if len(body) == 0 {
		return
	}
	from, to := body[0].Pos(), body[len(body)-1].End()
	var texts []string
	for _, stmt := range body {
		texts = append(texts, e.text(stmt))
	}
	e.found = append(e.found, edit{skipCase, from, to, fmt.Sprintf("if %s { %s }", never, strings.Join(texts, "\n"))})
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
