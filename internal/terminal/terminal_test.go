package terminal_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
)

func TestColors(t *testing.T) {
	console, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminal can be had here:", err)
	}
	defer func() { _ = console.Close() }()
	file, err := os.Create(t.TempDir() + "/output")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()

	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	if !terminal.Colors(console) {
		t.Error("no colors on a terminal")
	}
	if terminal.Colors(file) || terminal.Colors(new(bytes.Buffer)) {
		t.Error("colors without a terminal")
	}
	t.Setenv("TERM", "dumb")
	if terminal.Colors(console) {
		t.Error("colors on a terminal without any")
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	if terminal.Colors(console) {
		t.Error("colors in spite of NO_COLOR")
	}
}
