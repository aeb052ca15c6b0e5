{{- define "qlik-exporter.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Names are short enough to append the suffixes of ConfigMaps. */}}
{{- define "qlik-exporter.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "qlik-exporter.selector" -}}
app.kubernetes.io/name: {{ include "qlik-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "qlik-exporter.labels" -}}
{{ include "qlik-exporter.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Metadata of an object, from a list of the root and a map with name, namespace, labels and annotations. */}}
{{- define "qlik-exporter.metadata" -}}
{{- $root := index . 0 -}}
{{- $own := index . 1 | default dict -}}
name: {{ $own.name | default (include "qlik-exporter.fullname" $root) }}
namespace: {{ $own.namespace | default $root.Release.Namespace }}
labels:
  {{- $labels := mergeOverwrite (deepCopy ($root.Values.commonLabels | default dict)) (deepCopy ($own.labels | default dict)) }}
  {{- mergeOverwrite $labels (include "qlik-exporter.labels" $root | fromYaml) | toYaml | nindent 2 }}
{{- with $own.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "qlik-exporter.serviceAccount" -}}
{{- $account := .Values.serviceAccount | default dict -}}
{{- $account.name | default (empty $account.create | not | ternary (include "qlik-exporter.fullname" .) "default") -}}
{{- end }}

{{- define "qlik-exporter.image" -}}
{{- with (.Values.global).imageRegistry | default .Values.image.registry }}{{ . }}/{{ end -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* Secrets for the registry, as in the API. Charts write them as NAME or as {name: NAME}. */}}
{{- define "qlik-exporter.pullSecrets" -}}
{{- $secrets := list -}}
{{- range concat ((.Values.global).imagePullSecrets | default list) (.Values.image.pullSecrets | default list) -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with $secrets | uniq }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/* The sites in JSON, without those and without settings that are null. Empty in the demo. */}}
{{- define "qlik-exporter.sites" -}}
{{- $sites := dict -}}
{{- if not .Values.demo -}}
{{- range $name, $site := .Values.sites -}}
{{- with $site -}}
{{- $settings := dict -}}
{{- range $key, $value := .settings -}}
{{- if kindIs "map" $value -}}
{{- range $inner, $of := $value -}}
{{- if kindIs "invalid" $of }}{{ $value = omit $value $inner }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $settings $key $value }}{{ end -}}
{{- end -}}
{{- $_ := set $sites $name (set (omit . "settings") "settings" $settings) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ toJson $sites }}
{{- end }}

{{/* The value of a flag in extraArgs, from a list of the root and the name of the flag. */}}
{{- define "qlik-exporter.extraArg" -}}
{{- $prefix := printf "--%s=" (index . 1) -}}
{{- $value := "" -}}
{{- range (index . 0).Values.extraArgs -}}
{{- if hasPrefix $prefix . }}{{ $value = trimPrefix $prefix . }}{{ end -}}
{{- end -}}
{{ $value }}
{{- end }}

{{/* The words that start the program, for commands on the pages, in alerts, and in the notes. */}}
{{- define "qlik-exporter.command" -}}
{{- if .Values.demo -}}
qlik_exporter
{{- else -}}
{{ include "qlik-exporter.extraArg" (list . "web.command") | default (printf "kubectl exec -it -n %s deployment/%s -- qlik_exporter" .Release.Namespace (include "qlik-exporter.fullname" .)) }}
{{- end -}}
{{- end }}

{{/* Not empty if the exporter may use TLS or require authentication. */}}
{{- define "qlik-exporter.webConfig" -}}
{{- (.Values.web).configSecret | default (include "qlik-exporter.extraArg" (list . "web.config.file")) -}}
{{- end }}

{{/*
The ports of Qlik in the settings of the sites, in JSON: as HOST:PORT or NODE=HOST:PORT, or the default
port where the setting has none. Proxies that the repository names may have other ports: qlikPorts.
*/}}
{{- define "qlik-exporter.qlikPorts" -}}
{{- $ports := (.Values.networkPolicy).qlikPorts | default list -}}
{{- $withPort := `^(?:[^=]*=)?(?:\[[^\]]*\]|[^:]*):([0-9]+)\s*$` -}}
{{- range include "qlik-exporter.sites" . | fromJson -}}
{{- $settings := .settings -}}
{{- range $settings.host -}}
{{- $ports = append $ports (regexMatch $withPort . | ternary (regexReplaceAll $withPort . "${1}") "4242") -}}
{{- end -}}
{{- range $settings.proxy -}}
{{- $ports = append $ports (regexMatch $withPort . | ternary (regexReplaceAll $withPort . "${1}") "4243") -}}
{{- end -}}
{{- if not (and $settings.proxy $settings.virtual_proxy) -}}{{/* The repository names the proxies. */}}
{{- $ports = append $ports "4243" -}}
{{- end -}}
{{- range $settings.node_address -}}
{{- if regexMatch $withPort . }}{{ $ports = append $ports (regexReplaceAll $withPort . "${1}") }}{{ end -}}
{{- end -}}
{{- if ($settings.collector).engine -}}
{{- $all := "4747" -}}{{/* Nodes without a port of their own. */}}
{{- range $settings.engine_port -}}
{{- if contains "=" (toString .) }}{{ $ports = append $ports (regexReplaceAll "^.*=" . "") }}{{ else }}{{ $all = . }}{{ end -}}
{{- end -}}
{{- $ports = append $ports $all -}}
{{- end -}}
{{- end -}}
{{- $numbers := list -}}
{{- range $ports }}{{ $numbers = append $numbers (int .) }}{{ end -}}
{{ $numbers | uniq | toJson }}
{{- end }}

{{/* Names of the sites whose guard is on. Other values of the setting are refused elsewhere. */}}
{{- define "qlik-exporter.guards" -}}
{{- $names := list -}}
{{- range $name, $site := include "qlik-exporter.sites" . | fromJson -}}
{{- if eq (toString $site.settings.guard) "on" -}}
{{- $names = append $names $name -}}
{{- end -}}
{{- end -}}
{{ $names | sortAlpha | join ", " }}
{{- end }}

{{/* Not empty if the exporter writes a journal. */}}
{{- define "qlik-exporter.journal" -}}
{{- if or (.Values.desk).enabled (include "qlik-exporter.guards" .) -}}
true
{{- end -}}
{{- end }}
