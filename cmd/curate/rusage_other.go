//go:build !linux

package main

import "syscall"

// peakMiB converts ru_maxrss, which is bytes on Darwin.
func peakMiB(usage *syscall.Rusage) int64 { return int64(usage.Maxrss) >> 20 }
