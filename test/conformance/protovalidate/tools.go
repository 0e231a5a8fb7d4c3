//go:build tools

// Package tools names the program that `go build` installs, so that go.mod keeps its module.
package tools

import _ "github.com/bufbuild/protovalidate/tools/protovalidate-conformance"
