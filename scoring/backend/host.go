package backend

import (
	"bufio"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Memory is the memory of this machine as this process may use it, in bytes;
// 0 where it is not known.
type Memory struct {
	Total     int64 // of the machine
	Limit     int64 // what the process may have: Total, or its control group's limit if that is less
	Available int64 // what it may still take without swapping, within Limit
}

// HostMemory reads /proc/meminfo and the limits of the process's control
// groups, versions 1 and 2. On systems without them everything is 0.
func HostMemory() Memory {
	return hostMemory(os.DirFS("/"))
}

func hostMemory(root fs.FS) Memory {
	var m Memory
	for key, value := range fields(root, "proc/meminfo", ":") {
		kib, err := strconv.ParseInt(strings.TrimSuffix(value, " kB"), 10, 64)
		if err != nil {
			continue
		}
		switch key {
		case "MemTotal":
			m.Total = kib << 10
		case "MemAvailable":
			m.Available = kib << 10
		}
	}
	m.Limit = m.Total
	for line := range lines(root, "proc/self/cgroup") {
		_, line, _ := strings.Cut(line, ":")
		controllers, group, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		switch {
		case controllers == "":
			m.limit(root, "sys/fs/cgroup", group, "memory.max", "memory.current", "inactive_file")
		case strings.Contains(","+controllers+",", ",memory,"):
			m.limit(root, "sys/fs/cgroup/memory", group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
		}
	}
	return m
}

// limit applies the limits of a control group and of those above it. Inside a
// container the group's own path is often not visible, but the mount's root is
// the container's group. Cached file pages count as used there, but those that
// are inactive are given up on demand.
func (m *Memory) limit(root fs.FS, mount, group, maxFile, usedFile, cached string) {
	for {
		folder := path.Join(mount, group)
		limit, err := number(root, path.Join(folder, maxFile))
		if err == nil && limit < m.Limit { // "max", and version 1's huge number for none, are no limit
			m.Limit = limit
			if used, err := number(root, path.Join(folder, usedFile)); err == nil {
				for key, value := range fields(root, path.Join(folder, "memory.stat"), " ") {
					if inactive, err := strconv.ParseInt(value, 10, 64); err == nil && key == cached {
						used -= inactive
					}
				}
				m.Available = min(m.Available, max(0, limit-used))
			}
		}
		if group == "" || group == "/" || group == "." {
			return
		}
		group = path.Dir(group)
	}
}

// cpuModel returns the name of the first CPU, or "".
func cpuModel() string {
	model, _ := Processor()
	return model
}

// Processor returns the name of the first CPU, and which of the instruction
// sets that decide about the speed of matrix products it has, by the names that
// Linux gives them. Both are empty where the system does not tell.
func Processor() (model string, features []string) {
	return processor(os.DirFS("/"))
}

// mathFeatures are x86's and then ARM's.
var mathFeatures = []string{
	"avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16",
	"asimd", "asimdhp", "i8mm", "bf16", "sve", "sve2", "sme",
}

func processor(root fs.FS) (model string, features []string) {
	for key, value := range fields(root, "proc/cpuinfo", ":") {
		switch {
		case key == "model name" && model == "":
			model = value
		case (key == "flags" || key == "Features") && features == nil:
			has := strings.Fields(value)
			for _, feature := range mathFeatures {
				if slices.Contains(has, feature) {
					features = append(features, feature)
				}
			}
		}
	}
	return model, features
}

func number(root fs.FS, name string) (int64, error) {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
}

// fields yields the trimmed keys and values of a file's lines.
func fields(root fs.FS, name, separator string) func(yield func(key, value string) bool) {
	return func(yield func(key, value string) bool) {
		for line := range lines(root, name) {
			if key, value, ok := strings.Cut(line, separator); ok && !yield(strings.TrimSpace(key), strings.TrimSpace(value)) {
				return
			}
		}
	}
}

// lines yields the lines of a file, none if it can't be read.
func lines(root fs.FS, name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		file, err := root.Open(name)
		if err != nil {
			return
		}
		defer file.Close()
		for scanner := bufio.NewScanner(file); scanner.Scan(); {
			if !yield(scanner.Text()) {
				return
			}
		}
	}
}
