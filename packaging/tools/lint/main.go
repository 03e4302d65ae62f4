// Command lint is a tool of go vet (-vettool) with the checks of `make lint` that go vet and staticcheck do not
// have: switches over enumerations name every value, errors are wrapped and
// compared as errors, logs are structured, no variable shadows another of its
// function, no line is wider than 120 columns, and no test sleeps.
package main

import (
	"codeberg.org/polyfloyd/go-errorlint/errorlint"
	"github.com/nishanths/exhaustive"
	"go-simpler.org/sloglint"
	"golang.org/x/tools/go/analysis/passes/shadow"
	"golang.org/x/tools/go/analysis/unitchecker"
)

func main() {
	for flag, value := range map[string]string{
		"d":          "true",       // a default is how a switch says that it means all other values
		"typeignore": `^reflect\.`, // nobody means all kinds of type
	} {
		if err := exhaustive.Analyzer.Flags.Set(flag, value); err != nil {
			panic(err) // the flags are the analyzer's own
		}
	}
	unitchecker.Main(
		exhaustive.Analyzer,
		errorlint.NewAnalyzer(),
		sloglint.New(nil),
		shadow.Analyzer,
		sleep,
		width,
	)
}
