package main

import (
	"context"
	"net/http"
	"net/url"

	"skein/cmd/skein/client"
)

// listAll reads all pages of a list. rows is what a page P has, and the cursor of the
// next one, empty for none. The header is the last page's.
func listAll[P, R any](
	ctx context.Context, agent *client.Client, path string, query url.Values, rows func(*P) ([]R, string),
) (all []R, header http.Header, err error) {
	if query == nil {
		query = url.Values{}
	}
	for {
		var page P
		if header, err = agent.Get(ctx, pathOf(path, query), &page); err != nil {
			return nil, nil, err
		}
		part, next := rows(&page)
		all = append(all, part...)
		if next == "" {
			return all, header, nil
		}
		query.Set("next", next)
	}
}

func pathOf(path string, query url.Values) string {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}
