// Package render is a placeholder until the real one is merged.
package render

import (
	"fmt"
	"io"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/report"
)

const (
	English = "en"
	French  = "fr"
	German  = "de"
)

type Options struct {
	Language string
	Names    bool
	Location *time.Location
}

func HTML(w io.Writer, r *report.Report, o Options) error { _, err := fmt.Fprintln(w, r); return err }
func Text(w io.Writer, r *report.Report, o Options) error { return HTML(w, r, o) }
