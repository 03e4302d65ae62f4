package network

import (
	"strings"
	"testing"
)

const tableHead = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func TestConnectionsOverWhichSomethingMayComeAreCounted(t *testing.T) {
	line := func(local, state string) string {
		return "   0: " + local + " 0100007F:9C40 " + state + " 00000000:00000000 00:00000000 00000000     0        0 1 1\n"
	}
	tests := []struct {
		name  string
		table string
		ports []int
		want  int
	}{
		{"none in an empty table", "", []int{80}, 0},
		{"one that is established", line("0100007F:0050", "01"), []int{80}, 1},
		{"one over IPv6", line("0000000000000000FFFF00000100007F:0050", "01"), []int{80}, 1},
		{"one whose client has ended its side and waits for the rest", line("0100007F:0050", "08"), []int{80}, 1},
		{"one whose last bytes have not arrived", line("0100007F:0050", "04"), []int{80}, 1},
		{"one that is being opened", line("0100007F:0050", "03"), []int{80}, 1},
		{"none that is over", line("0100007F:0050", "06") + line("0100007F:0050", "05"), []int{80}, 0},
		{"none that listens", line("00000000:0050", "0A"), []int{80}, 0},
		{"none to another port", line("0100007F:0051", "01"), []int{80}, 0},
		{"each of several ports", line("0100007F:0051", "01") + line("0100007F:1F90", "01"), []int{81, 8080}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := countOpen(t.Context(), strings.NewReader(tableHead+tt.table), tt.ports)
			if err != nil || got != tt.want {
				t.Errorf("%d, %v, want %d", got, err, tt.want)
			}
		})
	}
}

func TestATableThatIsNotReadIsNotTakenForOneWithoutConnections(t *testing.T) {
	for _, table := range []string{
		"0: 0100007F:0050\n", "0: 0100007F 0100007F:9C40 01\n", "0: 0100007F:XX 0100007F:9C40 01\n",
	} {
		if got, err := countOpen(t.Context(), strings.NewReader(tableHead+table), []int{80}); err == nil {
			t.Errorf("%q has %d", table, got)
		}
	}
}
