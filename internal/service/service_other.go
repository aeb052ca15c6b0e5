//go:build !windows

package service

import (
	"context"
	"errors"
	"io"
	"os"
)

var errNotWindows = errors.New("service: available only on Windows; " +
	"on Linux, use the systemd unit in the packages or in deploy/systemd")

// Run runs the program and returns its exit code.
func Run(ctx context.Context, run func(ctx context.Context, args []string, stdout, stderr io.Writer) int) int {
	return run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// Supported returns an error, because there is no Windows service.
func Supported() error { return errNotWindows }

// Install returns the same error as Supported.
func Install(string, []string) error { return errNotWindows }

// Start returns the same error as Supported.
func Start(context.Context) error { return errNotWindows }

// Stop returns the same error as Supported.
func Stop(context.Context) error { return errNotWindows }

// Uninstall returns the same error as Supported.
func Uninstall(context.Context) error { return errNotWindows }
