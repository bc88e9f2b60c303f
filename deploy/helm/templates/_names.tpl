{{- define "name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
{{- end -}}

{{- define "image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- /* The namespaces that it serves, as a list in YAML; empty for all. */ -}}
{{- define "served" -}}
{{- if and .Values.watch.ownNamespaceOnly .Values.watch.namespaces -}}
{{- fail "watch.ownNamespaceOnly and watch.namespaces exclude each other: give one of them" -}}
{{- end -}}
{{- if .Values.watch.ownNamespaceOnly -}}
{{- list .Release.Namespace | toYaml -}}
{{- else -}}
{{- .Values.watch.namespaces | toYaml -}}
{{- end -}}
{{- end -}}

{{- define "subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "name" . }}
    namespace: {{ .Release.Namespace }}
{{- end -}}

{{- /* Binds a ClusterRole everywhere, or in each of the namespaces that are served. */ -}}
{{- define "binding" -}}
{{- $root := .root -}}
{{- $role := .role -}}
{{- range (include "served" $root | fromYamlArray | default (list "")) }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ . | empty | ternary "ClusterRoleBinding" "RoleBinding" }}
metadata:
  name: {{ $role }}
  {{- with . }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "labels" $root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ $role }}
{{ include "subjects" $root }}
{{- end }}
{{- end -}}
