package fleet

import "testing"

func TestServedHasReached(t *testing.T) {
	has := Served{Epoch: 2, Tasks: 10, Orders: 8}
	for name, tt := range map[string]struct {
		asked Served
		want  bool
	}{
		"nothing":               {Served{}, true},
		"all of it":             {has, true},
		"less of one part":      {Served{Epoch: 2, Tasks: 9}, true},
		"more tasks":            {Served{Epoch: 2, Tasks: 11}, false},
		"more orders":           {Served{Epoch: 2, Tasks: 10, Orders: 9}, false},
		"more of an older time": {Served{Epoch: 1, Tasks: 99, Orders: 99}, true},
		"less of a newer time":  {Served{Epoch: 3, Tasks: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := has.Reached(tt.asked); got != tt.want {
				t.Errorf("reached %v, want %v", got, tt.want)
			}
		})
	}
}
