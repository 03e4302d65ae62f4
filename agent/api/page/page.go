// Package page holds the status page: plain files without a build step, which show
// what the API answers and write nothing.
package page

import (
	"bytes"
	"embed"
	"net/http"
	"time"
)

//go:embed index.html app.css app.js
var files embed.FS

// File serves one file of the page.
func File(name string) http.HandlerFunc {
	body, err := files.ReadFile(name)
	if err != nil {
		panic("page: it misses a file: " + err.Error())
	}
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
	}
}
