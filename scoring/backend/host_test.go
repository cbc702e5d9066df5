package backend

import (
	"runtime"
	"slices"
	"testing"
	"testing/fstest"
)

func TestHostMemory(t *testing.T) {
	const meminfo = "MemTotal:       24683656 kB\nMemFree:  1 kB\nMemAvailable:   20000000 kB\n"
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	const total, available = 24683656 << 10, 20000000 << 10
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  Memory
	}{
		"nothing":   {fstest.MapFS{}, Memory{}},
		"no groups": {fstest.MapFS{"proc/meminfo": file(meminfo)}, Memory{total, total, available}},
		"version 2, a limit above the own group": {fstest.MapFS{
			"proc/meminfo":                          file(meminfo),
			"proc/self/cgroup":                      file("0::/kube/pod/app\n"),
			"sys/fs/cgroup/kube/memory.max":         file("4294967296\n"),
			"sys/fs/cgroup/kube/memory.current":     file("1073741824\n"),
			"sys/fs/cgroup/kube/pod/memory.max":     file("max\n"),
			"sys/fs/cgroup/kube/pod/app/memory.max": file("8589934592\n"),
		}, Memory{total, 4 << 30, 3 << 30}},
		"version 2, in a container": {fstest.MapFS{
			"proc/meminfo":                 file(meminfo),
			"proc/self/cgroup":             file("0::/not/visible\n"),
			"sys/fs/cgroup/memory.max":     file("2147483648\n"),
			"sys/fs/cgroup/memory.current": file("3147483648\n"),
		}, Memory{total, 2 << 30, 0}},
		"version 1": {fstest.MapFS{
			"proc/meminfo":     file(meminfo),
			"proc/self/cgroup": file("9:name=systemd:/\n4:cpu,memory:/job\n0::/\n"),
			"sys/fs/cgroup/memory/job/memory.limit_in_bytes": file("1073741824\n"),
			"sys/fs/cgroup/memory/job/memory.usage_in_bytes": file("5000\n"),
			"sys/fs/cgroup/memory/job/memory.stat":           file("inactive_file 1\ntotal_inactive_file 4000\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes":     file("9223372036854771712\n"),
		}, Memory{total, 1 << 30, 1<<30 - 1000}},
	} {
		if got := hostMemory(c.files); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	if m := HostMemory(); runtime.GOOS == "linux" && (m.Total <= 0 || m.Limit <= 0 || m.Limit > m.Total || m.Available <= 0 || m.Available > m.Limit) {
		t.Errorf("this machine: %+v", m)
	}
}

func TestProcessor(t *testing.T) {
	file := &fstest.MapFile{Data: []byte("processor: 0\nmodel name\t: Some CPU @ 2GHz\nflags : fpu avx2 amx_bf16 avx512f\n\nprocessor: 1\nmodel name: Other\nflags: bf16\n")}
	model, features := processor(fstest.MapFS{"proc/cpuinfo": file})
	if model != "Some CPU @ 2GHz" || !slices.Equal(features, []string{"avx2", "avx512f", "amx_bf16"}) {
		t.Errorf("%q %v", model, features)
	}
}
