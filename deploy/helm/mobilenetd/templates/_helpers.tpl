{{- define "mobilenetd.selector" -}}
app.kubernetes.io/name: mobilenetd
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "mobilenetd.labels" -}}
{{ include "mobilenetd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}
{{- define "mobilenetd.name" -}}
{{ if contains "mobilenetd" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-mobilenetd{{ end }}
{{- end }}
