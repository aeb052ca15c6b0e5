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
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "qlik-exporter.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* Names of the sites whose guard is on. Other values of the setting are refused elsewhere. */}}
{{- define "qlik-exporter.guards" -}}
{{- $names := list -}}
{{- if not .Values.demo -}}
{{- range $name, $site := .Values.sites -}}
{{- if eq (toString $site.settings.guard) "on" -}}
{{- $names = append $names $name -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ $names | sortAlpha | join ", " }}
{{- end }}

{{/* Not empty if the exporter writes a journal. */}}
{{- define "qlik-exporter.journal" -}}
{{- if or .Values.desk.enabled (include "qlik-exporter.guards" .) -}}
true
{{- end -}}
{{- end }}
