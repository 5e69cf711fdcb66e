{{/* The components with a certificate of their own, by certificate group: see `sealflow keys`. */}}
{{- define "sealflow.identities" -}}
{{- $service := list "gateway" "control" "engine" -}}
{{- if .Values.broker.bundled -}}{{- $service = append $service "broker" -}}{{- end -}}
{{- if and .Values.benchmark.enabled .Values.benchmark.policy -}}{{- $service = append $service "client" -}}{{- end -}}
{{- if .Values.taskmanager.autoscaling.enabled -}}{{- $service = append $service "scaler" -}}{{- end -}}
{{- $flink := and (eq .Values.engine.kind "flink") (not .Values.flink.operator) .Values.tls.enabled -}}
service: {{ toJson $service }}
flink: {{ toJson (ternary (list "jobmanager" "taskmanager") list $flink) }}
rest: {{ toJson (ternary (list "rest") list $flink) }}
{{- end -}}

{{/* The names of the Secrets that must exist with these values, except those that cert-manager makes. */}}
{{- define "sealflow.secretNames" -}}
{{- $found := list -}}
{{- range $group, $identities := include "sealflow.identities" . | fromYaml -}}
{{- range $identities -}}
{{- if and $.Values.tls.enabled (not $.Values.tls.certManager.enabled) -}}
{{- $found = append $found (include "sealflow.secret" (list $ . "tls")) -}}
{{- end -}}
{{- if ne . "client" -}}
{{- $found = append $found (include "sealflow.secret" (list $ . "password")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.simulatedPlatform.existingSecret -}}
{{- $found = append $found . -}}
{{- end -}}
{{- with .Values.sgx.pccsCa.existingSecret -}}
{{- $found = append $found . -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}
