package main

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
	"unicode/utf8"

	"golang.org/x/tools/go/analysis"
)

// maxWidth is how many characters a line may have, a tab counted as one.
const maxWidth = 120

// width reports lines that are wider than maxWidth. A long text is broken with +;
// lines of raw strings (tags of fields, data of tests) cannot be, and may be wider.
var width = &analysis.Analyzer{
	Name: "width",
	Doc:  "reports lines of more than 120 characters outside of raw strings",
	Run: func(pass *analysis.Pass) (any, error) {
		for _, file := range pass.Files {
			whole := pass.Fset.File(file.FileStart)
			text, err := pass.ReadFile(whole.Name())
			if err != nil {
				return nil, err
			}
			raw := rawLines(pass.Fset, file)
			lines := bufio.NewScanner(bytes.NewReader(text))
			lines.Buffer(nil, len(text)+1)
			for n := 1; lines.Scan(); n++ {
				if got := utf8.RuneCount(lines.Bytes()); got > maxWidth && n <= whole.LineCount() && !raw[n] {
					pass.Reportf(whole.LineStart(n), "line of %d characters, at most %d are allowed", got, maxWidth)
				}
			}
		}
		return nil, nil
	},
}

// rawLines returns the numbers of the lines that hold a part of a raw string.
func rawLines(files *token.FileSet, file *ast.File) map[int]bool {
	lines := map[int]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if text, ok := n.(*ast.BasicLit); ok && strings.HasPrefix(text.Value, "`") {
			for at := files.Position(text.Pos()).Line; at <= files.Position(text.End()).Line; at++ {
				lines[at] = true
			}
		}
		return true
	})
	return lines
}

// sleep reports calls of time.Sleep in tests. What a test waits for has a name:
// a function whose name begins with wait, await, until, eventually or throughout
// polls for it until a deadline. In a bubble of synctest time is fake and a sleep
// is no wait; fixtures say so with clocktest.Elapse, which panics elsewhere.
var sleep = &analysis.Analyzer{
	Name: "sleep",
	Doc:  "reports time.Sleep in tests outside of named waits and synctest",
	Run: func(pass *analysis.Pass) (any, error) {
		for _, file := range pass.Files {
			if !strings.HasSuffix(pass.Fset.Position(file.FileStart).Filename, "_test.go") {
				continue
			}
			for _, decl := range file.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && !isNamedWait(f.Name.Name) {
					reportSleeps(pass, f)
				}
			}
		}
		return nil, nil
	},
}

func isNamedWait(name string) bool {
	for _, verb := range []string{"wait", "await", "until", "eventually", "throughout"} {
		if strings.HasPrefix(strings.ToLower(name), verb) {
			return true
		}
	}
	return false
}

func reportSleeps(pass *analysis.Pass, f *ast.FuncDecl) {
	var sleeps []token.Pos
	fake := false
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch calledFunction(pass, call) {
		case "time.Sleep":
			sleeps = append(sleeps, call.Pos())
		case "testing/synctest.Test", "testing/synctest.Wait":
			fake = true
		}
		return true
	})
	if fake {
		return
	}
	for _, pos := range sleeps {
		pass.Reportf(pos, "time.Sleep in a test: wait for a named state with a deadline (a function wait..., await..., "+
			"until...), or clocktest.Elapse in a bubble")
	}
}

func calledFunction(pass *analysis.Pass, call *ast.CallExpr) string {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if f, ok := pass.TypesInfo.Uses[selector.Sel].(*types.Func); ok {
		return f.FullName()
	}
	return ""
}
