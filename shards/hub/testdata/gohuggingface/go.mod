module gohuggingface

go 1.26.3

require github.com/gomlx/go-huggingface v0.4.0

require (
	github.com/gofrs/flock v0.13.0 // indirect
	github.com/gomlx/compute v0.0.0-20260716164435-04857206aff7 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	golang.org/x/sys v0.43.0 // indirect
)
