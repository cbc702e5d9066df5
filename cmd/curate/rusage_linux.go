package main

import "syscall"

// peakMiB converts ru_maxrss, which is KiB on Linux.
func peakMiB(usage *syscall.Rusage) int64 { return usage.Maxrss >> 10 }
