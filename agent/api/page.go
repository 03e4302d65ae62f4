package api

import (
	"bytes"
	"embed"
	"net/http"
	"time"
)

// The page is plain files: no build step, nothing from elsewhere.
//
//go:embed page/index.html page/app.css page/app.js
var pageFiles embed.FS

// page serves one file of the page.
func (a *API) page(name string) http.HandlerFunc {
	body, err := pageFiles.ReadFile("page/" + name)
	if err != nil {
		panic("api: the page misses a file: " + err.Error())
	}
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
	}
}
