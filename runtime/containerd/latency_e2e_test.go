//go:build e2e

package containerd

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go"

	"skein/runtime/port"
)

// BenchmarkStart measures Create and Start, beside the containerd command and
// the OCI runtime alone with the same specification, in turn. Run it with
//
//	go test -tags e2e -run '^$' -bench Start -benchtime 20x ./runtime/containerd
func BenchmarkStart(t *testing.B) {
	if _, err := exec.LookPath("ctr"); err != nil {
		t.Fatalf("%v: install containerd", err)
	}
	b := newBed(t)
	bundle := runcBundle(t, b)
	const warmUp = 2
	var ours, creates, ctr, runc []time.Duration
	for i := range t.N + warmUp {
		spec := b.spec("web", fmt.Sprint(i), "wait")
		start := time.Now()
		_, err := b.Create(t.Context(), spec)
		must(t, err)
		created := time.Since(start)
		must(t, b.Start(t.Context(), spec.ID))
		took := time.Since(start)
		must(t, b.Signal(t.Context(), spec.ID, sigkill, false))
		b.await(spec.ID, port.ContainerExited)
		must(t, b.Delete(t.Context(), spec.ID))

		viaCtr := timeCtr(t, b, spec.Image.Image, fmt.Sprint("ctr", i))
		alone := timeRunc(t, bundle, fmt.Sprint("runc", i))
		if i >= warmUp {
			ours, creates = append(ours, took), append(creates, created)
			ctr, runc = append(ctr, viaCtr), append(runc, alone)
		}
	}
	p50, p95 := percentiles(ours)
	create, _ := percentiles(creates)
	ctr50, _ := percentiles(ctr)
	runc50, _ := percentiles(runc)
	t.Logf("start p50 %v, p95 %v, best %v (create p50 %v); ctr run p50 %v, best %v, ratio %.2f; runc alone p50 %v, best "+
		"%v, ratio %.2f; n=%d",
		p50, p95, ours[0], create, ctr50, ctr[0], float64(p50)/float64(ctr50), runc50, runc[0], float64(p50)/float64(runc50),
		len(ours))
	t.ReportMetric(float64(p50.Microseconds())/1000, "start-p50-ms")
	t.ReportMetric(float64(p50)/float64(ctr50), "of-ctr")
	t.ReportMetric(float64(p50)/float64(runc50), "of-runc")
}

func percentiles(d []time.Duration) (p50, p95 time.Duration) {
	slices.Sort(d)
	return d[len(d)/2].Round(100 * time.Microsecond), d[len(d)*95/100].Round(100 * time.Microsecond)
}

func timeCtr(t testing.TB, b *bed, image, id string) time.Duration {
	t.Helper()
	ctr := func(args ...string) {
		t.Helper()
		cmd := exec.Command("ctr", append([]string{"--address", b.config.Address, "--namespace", b.name}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("ctr %v: %v\n%s", args, err, out)
		}
	}
	_, err := b.Pull(t.Context(), port.ImageRef{Image: image}) // the tag is the name that the command uses
	must(t, err)
	start := time.Now()
	ctr("run", "-d", "--null-io", "--cgroup", b.cgroup(t, "ctr")+"/"+id, image, id, "/prog", "wait")
	took := time.Since(start)
	ctr("task", "kill", "-s", "SIGKILL", id)
	eventually(t, func() string {
		p, err := b.process(namespaced(b), id)
		if err == nil && !p.stopped() {
			return "still running"
		}
		return ""
	})
	ctr("task", "delete", id)
	ctr("container", "delete", id)
	return took
}

// runcBundle is a bundle with the specification that we give to containerd.
func runcBundle(t testing.TB, b *bed) string {
	t.Helper()
	spec := b.spec("web", "bundle", "wait")
	_, err := b.Create(t.Context(), spec)
	must(t, err)
	record, err := b.Client.daemon.ContainerService().Get(namespaced(b), runtimeID(spec.ID))
	must(t, err)
	var oci specs.Spec
	must(t, typeurl.UnmarshalTo(record.Spec, &oci))
	must(t, b.Delete(t.Context(), spec.ID))
	dir := t.TempDir()
	must(t, os.MkdirAll(dir+"/rootfs", 0o755))
	program, err := os.ReadFile(theProgram)
	must(t, err)
	must(t, os.WriteFile(dir+"/rootfs/prog", program, 0o755))
	oci.Linux.CgroupsPath = b.cgroup(t, "runc") + "/main"
	text, err := json.Marshal(oci)
	must(t, err)
	must(t, os.WriteFile(dir+"/config.json", text, 0o644))
	return dir
}

func timeRunc(t testing.TB, bundle, id string) time.Duration {
	t.Helper()
	runc := func(args ...string) {
		t.Helper()
		cmd := exec.Command("runc", append([]string{"--root", filepath.Join(bundle, "state")}, args...)...)
		if err := cmd.Run(); err != nil {
			t.Fatalf("runc %v: %v", args, err)
		}
	}
	start := time.Now()
	runc("create", "--bundle", bundle, id)
	runc("start", id)
	took := time.Since(start)
	runc("delete", "--force", id)
	return took
}
