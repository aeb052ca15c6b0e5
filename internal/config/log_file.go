package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// logFile returns an error if the log file cannot be written, or if another setting names the
// same file: the log would spoil that file, and move it away.
func (f *Flags) logFile() error {
	if f.LogFile == "" {
		return nil
	}
	same := ""
	rows := slices.Concat(f.site.settings(), f.settings(), []setting{
		{flag: "web.config.file", value: filePath(f.Web.WebConfigFile), path: wholePath},
	})
	for _, row := range rows {
		if row.path == nil || row.flag == "log.file" {
			continue
		}
		row.path(row.value.String(), func(path string) string {
			if sameFile(path, f.LogFile) {
				same = row.flag
			}
			return path
		})
	}
	if same != "" {
		return errorf("log.file", "%s: is also the file of --%s; the log needs a file of its own", f.LogFile, same)
	}
	if err := checkLogFile(f.LogFile); err != nil {
		return &Error{Flag: "log.file", Err: err}
	}
	return nil
}

func sameFile(one, other string) bool {
	if filepath.Clean(one) == filepath.Clean(other) {
		return true
	}
	first, err := os.Stat(one)
	if err != nil {
		return false
	}
	second, err := os.Stat(other)
	return err == nil && os.SameFile(first, second)
}

// checkLogFile returns an error if a log file cannot be written. It leaves no file: one that
// an administrator's check creates would belong to the administrator.
func checkLogFile(path string) error {
	if path == "-" {
		return errors.New("- is not a file; standard error has the log without this flag")
	}
	folder := filepath.Dir(path)
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the folder %s does not exist; create it, and allow the account of the exporter to write to it", folder)
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is not a folder", folder)
	}
	info, err = os.Lstat(path)
	switch {
	case err == nil && info.Mode()&fs.ModeSymlink != 0:
		// The log would rename the link at 5 MB: /dev/stderr, if that leads to a file.
		return fmt.Errorf("%s is a symbolic link; name the file itself", path)
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", path)
	case err == nil:
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return fmt.Errorf("the account of the exporter must be allowed to write to the log file: %w", err)
		}
		if err := file.Close(); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	// A log of 5 MB is renamed, and a new one is created.
	probe, err := os.CreateTemp(folder, ".qlik_exporter-*")
	if err != nil {
		return fmt.Errorf("the account of the exporter must be allowed to create files in the folder %s: %w", folder, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}
