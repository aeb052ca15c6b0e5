package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// conversation asks the operator questions.
type conversation struct {
	in   *bufio.Reader
	out  io.Writer
	echo bool // write the answers, because no terminal shows them
}

func converse(in io.Reader, out io.Writer) *conversation {
	return &conversation{in: bufio.NewReader(in), out: out}
}

// errNoAnswer means that the input ended, as without a terminal.
var errNoAnswer = errors.New("there is no answer, because the input ended")

// ask asks a question and returns the answer without blanks around it. It returns
// errNoAnswer at the end of the input, and errInterrupted if ctx ends first.
func (c *conversation) ask(ctx context.Context, question string) (answer string, err error) {
	if _, err := fmt.Fprint(c.out, question, " "); err != nil {
		return "", err
	}
	type line struct {
		text string
		err  error
	}
	// Reading from a terminal cannot be canceled. On an interrupt, this goroutine ends
	// with the program.
	answered := make(chan line, 1)
	go func() {
		text, err := c.in.ReadString('\n')
		answered <- line{strings.TrimSpace(text), err}
	}()
	select {
	case got := <-answered:
		if got.err != nil && got.text == "" {
			return "", errNoAnswer
		}
		if c.echo {
			_, _ = fmt.Fprintln(c.out, text.Visible(got.text))
		}
		return got.text, nil
	case <-ctx.Done():
		return "", errInterrupted
	}
}

var errInterrupted = errors.New("interrupted")

// confirmed asks a question that only "y" and "yes" agree to.
func confirmed(ctx context.Context, in io.Reader, out io.Writer, question string) (bool, error) {
	switch answer, err := converse(in, out).ask(ctx, question+" [y/N]"); {
	case errors.Is(err, errNoAnswer), errors.Is(err, errInterrupted):
		return false, nil
	case err != nil:
		return false, err
	default:
		answer = strings.ToLower(answer)
		return answer == "y" || answer == "yes", nil
	}
}
