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

// list prints all pages of a list: as JSON where that is asked for, else by print, with a
// word on how old they are. An empty list about a service that there is not is refused.
func list[P, R any](
	ctx context.Context, t *target, o output, path string, query url.Values, rows func(*P) ([]R, string),
	print func([]R) error,
) error {
	agent, err := t.client(ctx)
	if err != nil {
		return err
	}
	all, header, err := listAll(ctx, agent, path, query, rows)
	if err != nil {
		return err
	}
	if service := query.Get("service"); len(all) == 0 && service != "" {
		if err := mustKnow(ctx, agent, service); err != nil {
			return err
		}
	}
	if o.JSON {
		return printJSON(all)
	}
	warnStale(header)
	return print(all)
}

func pathOf(path string, query url.Values) string {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}
