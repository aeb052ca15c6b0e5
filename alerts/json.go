package alerts

import (
	"bytes"
	"encoding/json"

	"go.yaml.in/yaml/v3"
)

// jsonOf returns YAML as JSON. The mixin needs it, because std.parseYaml of jsonnet
// knows no anchors.
func jsonOf(content []byte) ([]byte, error) {
	var value map[string]any
	if err := yaml.Unmarshal(content, &value); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(value)
	return text.Bytes(), err
}
